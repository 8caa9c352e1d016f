-- ARGV: member id, the act for the audit, origin, the stamp that the member must have or '', then fields and their new
-- values. Returns 1, 0 where there is no such member, or -1 where the stamp is another one.
local key = record('member', ARGV[1])
local username = redis.call('HGET', key, 'username')
if not username then return 0 end
-- A new value is random: the same call, sent again because its answer was lost, finds its own work.
if redis.call('HGET', key, ARGV[5]) == ARGV[6] then return 1 end
if ARGV[4] ~= '' and redis.call('HGET', key, 'stamp') ~= ARGV[4] then return -1 end
redis.call('HSET', key, unpack(ARGV, 5))
changed()
audit(ARGV[3], ARGV[2], username, ARGV[1], '', '', '')
return 1
