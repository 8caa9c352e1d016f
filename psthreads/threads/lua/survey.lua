-- ARGV: how many to look at. Returns four lists for the janitor: threads whose lease has run out, those that a
-- worker took from the queue and has not claimed, those that were queued and stand in no queue; and groups in which
-- threads wait for a slot that nobody uses.
local many = tonumber(ARGV[1])
local overdue = redis.call('ZRANGE', LEASES, '-inf', clock(), 'BYSCORE', 'LIMIT', 0, many)
local taken = redis.call('LRANGE', TAKEN, 0, many - 1)
local astray = {}
for _, id in ipairs(redis.call('ZRANGE', QUEUED, 0, many - 1)) do
  -- The oldest stand at the queue's head, so they are found at once; who is not found there is queued
  -- again, and the second of two deliveries is refused.
  if not redis.call('LPOS', QUEUE, id, 'MAXLEN', 1000) and not redis.call('LPOS', TAKEN, id) then
    astray[#astray + 1] = id
  end
end
-- Chance sees to it that each group has its turn, however many there are.
local blocked = {}
for _, group in ipairs(redis.call('SRANDMEMBER', WAITING, 20)) do
  local held = redis.call('SMEMBERS', slots(group))
  local living = 0
  for _, id in ipairs(held) do
    local meta = load(id)
    if meta and not FINAL[meta.status] then living = living + 1 end
  end
  local next_one = first_of(waiting(group))
  if not next_one and redis.call('SCARD', changes(group)) < setting('group_changes') then
    next_one = first_of(waiting_changes(group))
  end
  if living < #held or (next_one and living < setting('group_threads')) then blocked[#blocked + 1] = group end
end
return {overdue, taken, astray, blocked}
