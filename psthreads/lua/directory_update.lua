-- ARGV: member id, the act for the audit, origin, then fields and their new values.
-- Returns 1, or 0 where there is no such member.
local key = record('member', ARGV[1])
local username = redis.call('HGET', key, 'username')
if not username then return 0 end
-- A new value is random: the same call, sent again because its answer was lost, finds its own work.
if redis.call('HGET', key, ARGV[4]) == ARGV[5] then return 1 end
redis.call('HSET', key, unpack(ARGV, 4))
changed()
audit(ARGV[3], ARGV[2], username, ARGV[1], '', '', '')
return 1
