-- ARGV: username in lower case, origin (JSON). Counts a wrong password. Too many in a row lock the account, for a minute at
-- first, and each further one for twice as long, up to an hour.
-- Returns 1 where that has locked the account, else 0, also where there is no such member.
local id = redis.call('HGET', NAMES.member, ARGV[1])
if not id or is_locked(redis.call('HGET', record('member', id), 'until')) then return 0 end
local failures, most = redis.call('HINCRBY', record('member', id), 'failures', 1), setting('lock_after')
if most == 0 or failures < most then return 0 end
local now = clock()
local seconds = math.min(3600, 60 * 2 ^ math.min(failures - most, 10))
redis.call('HSET', record('member', id), 'locked', now, 'until', now + 1000 * seconds)
redis.call('ZADD', LOCKED, now + 1000 * seconds, id)
changed()
local username = redis.call('HGET', record('member', id), 'username')
write_audit('account.locked', cjson.decode(ARGV[2]), username, id, '', '',
  'for ' .. seconds .. ' s, after ' .. failures .. ' wrong passwords in a row')
return 1
