-- ARGV: how many to look at. Returns three lists of thread ids for the janitor: those whose lease has run out,
-- those that a worker took from the queue and has not claimed, and those that wait but stand in no queue.
local many = tonumber(ARGV[1])
local overdue = redis.call('ZRANGE', LEASES, '-inf', clock(), 'BYSCORE', 'LIMIT', 0, many)
local taken = redis.call('LRANGE', TAKEN, 0, many - 1)
local astray = {}
for _, id in ipairs(redis.call('ZRANGE', index('server', 'initialised'), 0, many - 1)) do
  local meta = load(id)
  -- The oldest stand at the queue's head, so they are found at once; who is not found there is queued
  -- again, and the second of two deliveries is refused.
  if meta and not meta.token and not redis.call('LPOS', QUEUE, id, 'MAXLEN', 1000)
    and not redis.call('LPOS', TAKEN, id) then
    astray[#astray + 1] = id
  end
end
return {overdue, taken, astray}
