-- ARGV: thread id, token, worker's name. Returns 1 when this execution now owns the thread, else 0.
-- A thread that was cancelled meanwhile, or that another worker took, is refused, so it never runs.
local id, token = ARGV[1], ARGV[2]
local meta = load(id)
local mine = meta and meta.status == 'initialised' and not meta.waits and (not meta.token or meta.token == token)
if mine then
  meta.token, meta.worker = token, ARGV[3]
  store(id, meta)
  redis.call('ZREM', QUEUED, id)
  renew_lease(id, clock())
end
redis.call('LREM', TAKEN, 0, id)
return mine and 1 or 0
