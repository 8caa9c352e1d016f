-- ARGV: the record of a process (JSON with `explicit` and `default`: values by the names of settings), and for how many
-- milliseconds it counts. Writes it down, and brings into force what the running processes agree on.
-- Returns {name, value, ...} of what is in force.
local SETTINGS, PROCESSES = 'ps:settings', 'ps:settings:processes'
local record, lifetime, now = ARGV[1], ARGV[2], clock()
redis.call('ZREMRANGEBYSCORE', PROCESSES, '-inf', now)
redis.call('ZADD', PROCESSES, now + lifetime, record)
redis.call('PEXPIRE', PROCESSES, lifetime)

-- Add values to those that were seen: name -> value, or false where they differ.
local function add(seen, values)
  for name, value in pairs(values) do
    if seen[name] == nil then
      seen[name] = value
    elseif seen[name] ~= value then
      seen[name] = false
    end
  end
end

local explicit, default = {}, {}
for _, process in ipairs(redis.call('ZRANGE', PROCESSES, 0, -1)) do
  process = cjson.decode(process)
  add(explicit, process.explicit)
  add(default, process.default)
end
local own = {}
add(own, cjson.decode(record).explicit)
add(own, cjson.decode(record).default)
for name, value in pairs(own) do
  local agreed, current = explicit[name], redis.call('HGET', SETTINGS, name)
  if agreed == nil then agreed = default[name] end
  agreed = agreed or current or value
  if agreed ~= current then redis.call('HSET', SETTINGS, name, agreed) end
end
return redis.call('HGETALL', SETTINGS)
