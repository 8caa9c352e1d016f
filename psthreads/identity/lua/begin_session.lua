-- ARGV: member id, stamp of the new session, origin (JSON), how the member signed in.
-- Returns 1, or 0 where the member is gone or has another stamp by now.
local username, stamp = unpack(redis.call('HMGET', record('member', ARGV[1]), 'username', 'stamp'))
if not username or stamp ~= ARGV[2] then return 0 end
write_audit('session.start', cjson.decode(ARGV[3]), username, ARGV[1], '', '', ARGV[4])
return 1
