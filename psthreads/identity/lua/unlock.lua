-- ARGV: member id, origin (JSON). Unlocks the account and forgets the wrong passwords. Returns 1, 0 where the account was
-- not locked, -1 where there is no such member.
local key = record('member', ARGV[1])
local username, ends = unpack(redis.call('HMGET', key, 'username', 'until'))
if not username then return -1 end
redis.call('HDEL', key, 'failures', 'locked', 'until')
redis.call('ZREM', LOCKED, ARGV[1])
if not is_locked(ends) then return 0 end
write_audit('account.unlocked', cjson.decode(ARGV[2]), username, ARGV[1], '', '', '')
return 1
