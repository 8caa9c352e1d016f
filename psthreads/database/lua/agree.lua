-- ARGV: the record of a process (JSON with `explicit`: values by the names of settings), and for how many
-- milliseconds it counts. Writes it down, and brings into force what the running processes agree on.
-- Returns {name, value, ...} of what is in force.
local SETTINGS, PROCESSES = 'ps:settings', 'ps:settings:processes'
local record, lifetime, now = ARGV[1], ARGV[2], clock()
redis.call('ZREMRANGEBYSCORE', PROCESSES, '-inf', now)
redis.call('ZADD', PROCESSES, now + lifetime, record)
redis.call('PEXPIRE', PROCESSES, lifetime)

-- The values that the running processes are set to by name, or false where they differ.
local explicit = {}
for _, process in ipairs(redis.call('ZRANGE', PROCESSES, 0, -1)) do
  for name, value in pairs(cjson.decode(process).explicit) do
    if explicit[name] == nil then
      explicit[name] = value
    elseif explicit[name] ~= value then
      explicit[name] = false
    end
  end
end
-- What nobody names any more stays: a process that restarts, or is silent for a while, must not bring a default into
-- force, by which threads and audit entries would be removed for good.
local own = cjson.decode(record).explicit
for name, agreed in pairs(explicit) do
  local current = redis.call('HGET', SETTINGS, name)
  agreed = agreed or current or own[name]
  if agreed and agreed ~= current then redis.call('HSET', SETTINGS, name, agreed) end
end
return redis.call('HGETALL', SETTINGS)
