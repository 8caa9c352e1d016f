-- ARGV: how many processes, their names, ids of groups. Returns what a monitor wants to know, at a cost that grows with
-- these alone: {now, threads by status, when the oldest waiting one was accepted or '', the queue's length, how many active
-- threads each process has, and each group by status, what has ended, what workers have counted}.
local now, kinds = clock(), STATUSES
local function sizes(scope)
  local counts = {}
  for _, status in ipairs(kinds) do counts[#counts + 1] = redis.call('ZCARD', index(scope, status)) end
  return counts
end
local processes, groups = {}, {}
for position = 2, 1 + tonumber(ARGV[1]) do
  processes[#processes + 1] = redis.call('ZCARD', index('process:' .. ARGV[position], 'active'))
end
for position = 2 + tonumber(ARGV[1]), #ARGV do groups[#groups + 1] = sizes(ARGV[position]) end
local oldest = redis.call('ZRANGE', index('server', 'initialised'), 0, 0, 'WITHSCORES')
return {
  now, sizes('server'), oldest[2] or '', redis.call('LLEN', QUEUE), processes, groups,
  redis.call('HGETALL', 'ps:ended'), redis.call('HGETALL', 'ps:worker-counts'),
}
