-- ARGV: member id, origin (JSON), a new stamp. The sessions end too: they may be those of the identity.
-- Returns 1, 0 where the member has no identity at a provider, -1 where there is no such member.
local key, origin = record('member', ARGV[1]), cjson.decode(ARGV[2])
local username, digest, issuer, subject = unpack(redis.call('HMGET', key, 'username', 'identity', 'issuer', 'subject'))
if not username then return -1 end
if not digest then return 0 end
redis.call('HDEL', IDENTITIES, digest)
redis.call('HDEL', key, 'identity', 'issuer', 'subject')
redis.call('HSET', key, 'stamp', ARGV[3])
changed()
write_audit('member.unbind', origin, username, ARGV[1], '', '', subject .. ' of ' .. issuer)
return 1
