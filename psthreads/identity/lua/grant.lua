-- ARGV: id of a client, SHA-256 of a new access token, scope, seconds until it expires, how many a client may have.
-- Returns 1, or 0 where there is no such client. When the client has too many tokens, its oldest ends.
local id, digest, scope, seconds, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local member = redis.call('HGET', CLIENT .. id, 'member')
if not member or redis.call('EXISTS', record('member', member)) == 0 then return 0 end
local now, living = clock(), TOKENS_OF_CLIENT .. id
local expires = now + seconds * 1000
redis.call('ZREMRANGEBYSCORE', living, '-inf', now)
redis.call('ZADD', living, expires, digest)
while redis.call('ZCARD', living) > most do
  redis.call('DEL', TOKEN .. redis.call('ZPOPMIN', living)[1])
end
redis.call('EXPIRE', living, seconds)
redis.call('HSET', TOKEN .. digest, 'member', member, 'client', id, 'reach', scope, 'created', now, 'expires', expires)
redis.call('EXPIRE', TOKEN .. digest, seconds)
return 1
