-- ARGV: thread id, token, what the worker has seen of the installation. Renews the execution's lease. Returns {'owned' | 'cancelling' | 'disowned', 1 where it is
-- cancelled by force, milliseconds since the request to cancel, the installation's ticks}.
local id, token = ARGV[1], ARGV[2]
local meta = load(id)
if is_behind(ARGV[3]) or not owns(meta, token) then return {'disowned', 0, 0, 0} end
local ticks = tonumber(redis.call('HGET', 'ps:installation', 'ticks')) or 0
local now = clock()
meta.heard = now
store(id, meta)  -- Followers are not woken: nothing has happened.
renew_lease(id, meta, now)
if not meta.cancelling then return {'owned', 0, 0, ticks} end
return {'cancelling', meta.forced and 1 or 0, now - meta.cancel_asked, ticks}
