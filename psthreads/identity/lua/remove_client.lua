-- ARGV: member id, name, origin (JSON). The client's access tokens end with it. Returns 1, or 0 where the member has no
-- such client.
local member, name = ARGV[1], ARGV[2]
local id = redis.call('HGET', CLIENTS_OF .. member, name)
if not id then return 0 end
redis.call('HDEL', CLIENTS_OF .. member, name)
drop_client(id)
changed()
local username = redis.call('HGET', record('member', member), 'username')
write_audit('client.remove', cjson.decode(ARGV[3]), name, member, '', '', 'of ' .. username)
return 1
