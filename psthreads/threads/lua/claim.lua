-- ARGV: thread id, token, worker's name, what the worker has seen of the installation. Gives the thread to this
-- execution. Returns {how long its lease is in milliseconds, the number of claims so far}; a lease of 0 for a thread that
-- was cancelled meanwhile or that another worker claimed, and in a Redis that is behind, where it may have run already:
-- the worker must not run it.
local id, token = ARGV[1], ARGV[2]
if is_behind(ARGV[4]) then return {0, 0} end
local meta = load(id)
local claims = 0
local is_claimed = meta and not refuse(id, meta) and not newer[id]
  and meta.status == 'initialised' and not meta.waits and (not meta.token or meta.token == token)
if is_claimed then
  meta.token, meta.worker, meta.lease = token, ARGV[3], lease_of(meta)
  store(id, meta)
  claims = redis.call('HINCRBY', 'ps:installation', 'claims', 1)
  redis.call('ZREM', QUEUED, id)
  renew_lease(id, meta, clock())
end
redis.call('LREM', TAKEN, 0, id)
return {is_claimed and meta.lease or 0, claims}
