-- ARGV: thread id. A thread that a worker took from the queue and then died, or that is in no queue at all, is
-- queued again. Returns 1 when it was.
-- To queue it twice does no harm: the second delivery is refused by claim.lua.
local id = ARGV[1]
local meta = load(id)
if not meta or meta.status ~= 'initialised' or meta.token or meta.waits then
  redis.call('LREM', TAKEN, 0, id)
  redis.call('ZREM', QUEUED, id)
  return 0
end
queue_again(id, meta, clock())
return 1
