-- ARGV: member id, '1' or '0', origin (JSON). Returns 'done', 'member' where there is no such member, or why the flag
-- cannot be taken away: 'self', 'last'.
local id, flag, origin = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local username, current = unpack(redis.call('HMGET', record('member', id), 'username', 'admin'))
if not username then return 'member' end
if current == flag then return 'done' end
local why = flag == '0' and indispensable(id, origin)
if why then return why end
administrators()  -- Makes the set complete before a member is added to it.
redis.call('HSET', record('member', id), 'admin', flag)
redis.call(flag == '1' and 'SADD' or 'SREM', ADMINISTRATORS, id)
changed()
write_audit('member.admin', origin, username, id, '', '', flag == '1' and 'on' or 'off')
return 'done'
