-- ARGV: member id, then fields and their new values. Returns 1, or 0 where there is no such member.
local key = record('member', ARGV[1])
if redis.call('EXISTS', key) == 0 then return 0 end
redis.call('HSET', key, unpack(ARGV, 2))
changed()
return 1
