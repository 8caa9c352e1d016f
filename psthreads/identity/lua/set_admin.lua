-- ARGV: member id, '1' or '0', origin. Returns 'done', 'member' where there is none such, or why the flag cannot be
-- taken away: 'self', 'last'.
local id, flag = ARGV[1], ARGV[2]
local found = redis.call('HMGET', record('member', id), 'username', 'admin')
if not found[1] then return 'member' end
if found[2] == flag then return 'done' end
local why = flag == '0' and indispensable(id, ARGV[3])
if why then return why end
administrators()  -- So that the set is whole before one is added to it.
redis.call('HSET', record('member', id), 'admin', flag)
redis.call(flag == '1' and 'SADD' or 'SREM', ADMINISTRATORS, id)
changed()
audit(ARGV[3], 'member.admin', found[1], id, '', '', flag == '1' and 'on' or 'off')
return 'done'
