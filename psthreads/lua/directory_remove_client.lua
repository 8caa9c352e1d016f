-- ARGV: member id, name. Its access tokens end with it. Returns 1, or 0 where the member has no such client.
local id = redis.call('HGET', CLIENTS_OF .. ARGV[1], ARGV[2])
if not id then return 0 end
redis.call('HDEL', CLIENTS_OF .. ARGV[1], ARGV[2])
drop_client(id)
changed()
return 1
