-- ARGV: key of a session, seconds for which its cookie is still valid, member id, stamp, origin (JSON) without a name.
-- Returns 'OK', or nothing where the session had ended before.
local ended = redis.call('SET', ENDED .. ARGV[1], 1, 'EX', ARGV[2], 'NX')
if not ended then return false end
changed()
local username, stamp = unpack(redis.call('HMGET', record('member', ARGV[3]), 'username', 'stamp'))
if username and stamp == ARGV[4] then
  local origin = cjson.decode(ARGV[5])
  origin.by = username
  write_audit('session.end', origin, username, ARGV[3], '', '', '')
end
return ended
