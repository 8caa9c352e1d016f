-- ARGV: member id, name. Returns 1, or 0 where the member has no such token.
local digest = redis.call('HGET', TOKENS_OF .. ARGV[1], ARGV[2])
if not digest then return 0 end
redis.call('HDEL', TOKENS_OF .. ARGV[1], ARGV[2])
changed()
return redis.call('DEL', TOKEN .. digest)
