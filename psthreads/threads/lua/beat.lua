-- ARGV: thread id, token. Renews the execution's lease. Returns {'owned' | 'cancelling' | 'disowned', 1 where it is
-- cancelled by force, milliseconds since the request to cancel}.
local id, token = ARGV[1], ARGV[2]
local meta = load(id)
if not owns(meta, token) then return {'disowned', 0, 0} end
local now = clock()
meta.heard = now
store(id, meta)  -- Followers are not woken: nothing has happened.
renew_lease(id, now)
if not meta.cancelling then return {'owned', 0, 0} end
return {'cancelling', meta.forced and 1 or 0, now - meta.cancel_asked}
