-- ARGV: username in lower case, how many wrong passwords in a row lock an account, 0 for none, origin.
-- A password was wrong. Returns 1 where that has locked the account, else 0, also where there is no such member.
local id, most = redis.call('HGET', NAMES.member, ARGV[1]), tonumber(ARGV[2])
if not id or redis.call('HEXISTS', record('member', id), 'locked') == 1 then return 0 end
local failures = redis.call('HINCRBY', record('member', id), 'failures', 1)
if most == 0 or failures < most then return 0 end
local now = clock()
redis.call('HSET', record('member', id), 'locked', now)
redis.call('ZADD', LOCKED, now, id)
changed()
local username = redis.call('HGET', record('member', id), 'username')
audit(ARGV[3], 'account.locked', username, id, '', '', failures .. ' wrong passwords in a row')
return 1
