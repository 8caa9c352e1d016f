-- ARGV: member id, '1' to lift a lock too. Forgets the wrong passwords. Returns 1, 0 where no lock was lifted,
-- -1 where there is no such member.
local key = record('member', ARGV[1])
if redis.call('EXISTS', key) == 0 then return -1 end
redis.call('HDEL', key, 'failures')
return ARGV[2] == '1' and redis.call('HDEL', key, 'locked') or 0
