-- ARGV: key of a session, seconds for which its cookie could still be shown, member id, stamp, origin without a name.
-- Returns 'OK', or nothing where it had ended before.
local ended = redis.call('SET', ENDED .. ARGV[1], 1, 'EX', ARGV[2], 'NX')
if not ended then return false end
changed()
local found = redis.call('HMGET', record('member', ARGV[3]), 'username', 'stamp')
if found[1] and found[2] == ARGV[4] then
  local who = cjson.decode(ARGV[5])
  who.by = found[1]
  audit(cjson.encode(who), 'session.end', found[1], ARGV[3], '', '', '')
end
return ended
