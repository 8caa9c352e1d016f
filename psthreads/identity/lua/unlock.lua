-- ARGV: member id, '1' to unlock the account too, and then the origin (JSON). Forgets the wrong passwords. Returns 1, 0
-- where the account was not unlocked, -1 where there is no such member.
local key = record('member', ARGV[1])
local username = redis.call('HGET', key, 'username')
if not username then return -1 end
redis.call('HDEL', key, 'failures')
if ARGV[2] ~= '1' or redis.call('HDEL', key, 'locked') == 0 then return 0 end
redis.call('ZREM', LOCKED, ARGV[1])
write_audit('account.unlocked', cjson.decode(ARGV[3]), username, ARGV[1], '', '', '')
return 1
