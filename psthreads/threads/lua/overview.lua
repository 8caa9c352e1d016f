-- ARGV: scope ('server' or a group's id), how many threads of each kind. Returns {counts, running, waiting, failed,
-- when the oldest waiting thread was accepted or '', hours, durations, now}: counts by status, of failed threads those
-- of the last day; {id, meta, ...} of the newest running threads, the oldest waiting ones, and the newest that failed
-- in the last day; {hour, fields, ...} of the last 24 hours; and {fields, ...} of the durations of today and yesterday.
local scope, many = ARGV[1], tonumber(ARGV[2])
local now = clock()
local function read(ids)
  local threads = {}
  for _, id in ipairs(ids) do
    local meta = raw_of(id)
    if meta then threads[#threads + 1], threads[#threads + 2] = id, meta end
  end
  return threads
end
local counts = {'failed', redis.call('ZCOUNT', index(scope, 'failed'), now - DAY, '+inf')}
local running = {}
for _, status in ipairs(STATUSES) do
  if not FINAL[status] then
    counts[#counts + 1], counts[#counts + 2] = status, redis.call('ZCARD', index(scope, status))
  end
  if not FINAL[status] and status ~= 'initialised' then
    for _, value in ipairs(read(redis.call('ZRANGE', index(scope, status), 0, many - 1, 'REV'))) do
      running[#running + 1] = value
    end
  end
end
local waiting = redis.call('ZRANGE', index(scope, 'initialised'), 0, many - 1, 'WITHSCORES')
local ids = {}
for position = 1, #waiting, 2 do ids[#ids + 1] = waiting[position] end
local failed = redis.call('ZRANGE', index(scope, 'failed'), '+inf', now - DAY, 'BYSCORE', 'REV', 'LIMIT', 0, many)
local hours, durations = {}, {}
for hour = math.floor(now / HOUR) - 23, math.floor(now / HOUR) do
  hours[#hours + 1] = hour
  hours[#hours + 1] = redis.call('HGETALL', 'ps:hours:' .. scope .. ':' .. hour)
end
for day = math.floor(now / DAY) - 1, math.floor(now / DAY) do
  durations[#durations + 1] = redis.call('HGETALL', 'ps:durations:' .. scope .. ':' .. day)
end
return {counts, running, read(ids), read(failed), waiting[2] or '', hours, durations, now}
