-- ARGV: thread id, token. Shows that the thread lives, and asks how it stands.
-- Returns {'owned' | 'cancelling' | 'disowned', forced, milliseconds since the request to cancel}.
local id, token = ARGV[1], ARGV[2]
local meta = load(id)
if not owns(meta, token) then return {'disowned', 0, 0} end
local now = clock()
meta.heard = now
store(id, meta)  -- Who follows is not told: nothing has happened.
renew_lease(id, now)
if not meta.cancelling then return {'owned', 0, 0} end
return {'cancelling', meta.forced and 1 or 0, now - meta.cancel_asked}
