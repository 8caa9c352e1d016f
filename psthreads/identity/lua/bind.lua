-- ARGV: SHA-256 of an identity at a provider, its issuer, its subject, username in lower case, origin (JSON) without a
-- name. Binds the identity to the member with this name where neither has another one; afterwards the name does not matter.
-- Returns {id, username, admin, stamp} of its member, 'none' where there is none, 'other' where the name's member has
-- another identity.
local digest, issuer, subject, name = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local id = redis.call('HGET', IDENTITIES, digest)
if not id then
  id = redis.call('HGET', NAMES.member, name)
  if not id then return 'none' end
  if redis.call('HEXISTS', record('member', id), 'identity') == 1 then return 'other' end
  redis.call('HSET', IDENTITIES, digest, id)
  redis.call('HSET', record('member', id), 'identity', digest, 'issuer', issuer, 'subject', subject)
  local origin, username = cjson.decode(ARGV[5]), redis.call('HGET', record('member', id), 'username')
  origin.by, origin.byid = username, id
  write_audit('member.bind', origin, username, id, '', '', subject .. ' of ' .. issuer)
end
local member = redis.call('HMGET', record('member', id), 'username', 'admin', 'stamp')
return {id, member[1], member[2], member[3]}
