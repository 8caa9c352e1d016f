-- ARGV: username in lower case, origin (JSON). Counts a wrong password.
-- Returns 1 where that has locked the account, else 0, also where there is no such member.
local id = redis.call('HGET', NAMES.member, ARGV[1])
if not id or redis.call('HEXISTS', record('member', id), 'locked') == 1 then return 0 end
local failures, most = redis.call('HINCRBY', record('member', id), 'failures', 1), setting('lock_after')
if most == 0 or failures < most then return 0 end
local now = clock()
redis.call('HSET', record('member', id), 'locked', now)
redis.call('ZADD', LOCKED, now, id)
changed()
local username = redis.call('HGET', record('member', id), 'username')
write_audit('account.locked', cjson.decode(ARGV[2]), username, id, '', '', failures .. ' wrong passwords in a row')
return 1
