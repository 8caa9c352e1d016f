-- ARGV: thread id. Queues a thread again that a worker took from the queue and did not claim, or that is in no queue.
-- Returns 1 where it did, else 0. Queuing it twice does no harm: claim.lua refuses the second delivery.
local id = ARGV[1]
local meta = load(id)
if refuse(id, meta) or not meta or meta.status ~= 'initialised' or meta.token or meta.waits then
  redis.call('LREM', TAKEN, 0, id)
  redis.call('ZREM', QUEUED, id)
  return 0
end
queue_again(id, meta, clock())
return 1
