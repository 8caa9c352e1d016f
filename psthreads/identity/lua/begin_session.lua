-- ARGV: member id, stamp of the new session, origin, by what it begins. Returns 1, or 0 where the member or the stamp
-- is not so any more.
local found = redis.call('HMGET', record('member', ARGV[1]), 'username', 'stamp')
if not found[1] or found[2] ~= ARGV[2] then return 0 end
audit(ARGV[3], 'session.start', found[1], ARGV[1], '', '', ARGV[4])
return 1
