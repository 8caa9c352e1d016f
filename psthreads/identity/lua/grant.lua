-- ARGV: id of a client, SHA-256 of a new access token, reach, seconds until it expires, how many a client may have.
-- Returns 1, or 0 where there is no such client. When the client has too many tokens, its oldest ends.
local id, digest, reach, seconds, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local member = redis.call('HGET', CLIENT .. id, 'member')
if not member or redis.call('EXISTS', record('member', member)) == 0 then return 0 end
local now, live = clock(), TOKENS_OF_CLIENT .. id
local expires = string.format('%.0f', now + seconds * 1000)
redis.call('ZREMRANGEBYSCORE', live, '-inf', now)
redis.call('ZADD', live, expires, digest)
while redis.call('ZCARD', live) > most do
  redis.call('DEL', TOKEN .. redis.call('ZPOPMIN', live)[1])
end
redis.call('EXPIRE', live, seconds)
redis.call('HSET', TOKEN .. digest, 'member', member, 'client', id, 'reach', reach, 'created', now, 'expires', expires)
redis.call('EXPIRE', TOKEN .. digest, seconds)
return 1
