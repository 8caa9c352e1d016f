-- ARGV: how many of each kind. Returns for the janitor the shortest lease in milliseconds, and four lists: all leases,
-- as pairs of a thread's id and a score; threads that a worker took from the queue and has not claimed; queued threads
-- that are in no queue; and groups in which threads wait for a free slot. There are as many leases as busy workers.
local many = tonumber(ARGV[1])
local leases = redis.call('ZRANGE', LEASES, 0, -1, 'WITHSCORES')
if many == 0 then return {milliseconds('lost_after'), leases, {}, {}, {}} end
local taken, stranded = {}, {}
for _, id in ipairs(redis.call('LRANGE', TAKEN, 0, many - 1)) do
  if string.find(id, '^[%w-]+$') then
    taken[#taken + 1] = id
  else
    redis.call('LREM', TAKEN, 0, id)  -- Somebody else has put it into the queue: no thread has such an id.
  end
end
for _, id in ipairs(redis.call('ZRANGE', QUEUED, 0, many - 1)) do
  -- The oldest are at the queue's head, where they are found at once. A thread that is found too far behind is queued
  -- again, and claim.lua refuses the second delivery.
  if not redis.call('LPOS', QUEUE, id, 'MAXLEN', 1000) and not redis.call('LPOS', TAKEN, id) then
    stranded[#stranded + 1] = id
  end
end
-- Chosen at random, so that each group has its turn, however many there are.
local blocked = {}
for _, group in ipairs(redis.call('SRANDMEMBER', WAITING, 20)) do
  local holders = redis.call('SMEMBERS', slots(group))
  local living = 0
  for _, id in ipairs(holders) do
    local meta = load(id)
    if meta and not FINAL[meta.status] then living = living + 1 end
  end
  local candidate = first_of(waiting(group))
  if not candidate and redis.call('SCARD', changes(group)) < setting('group_changes') then
    candidate = first_of(waiting_changes(group))
  end
  if living < #holders or (candidate and living < share()) then blocked[#blocked + 1] = group end
end
return {milliseconds('lost_after'), leases, taken, stranded, blocked}
