-- ARGV: id of a client, SHA-256 of an access token. Ends the token if it is the client's.
-- Returns 1, 0 where there is no such token, -1 where it is not the client's.
local member, client = unpack(redis.call('HMGET', TOKEN .. ARGV[2], 'member', 'client'))
if not member then return 0 end
if client ~= ARGV[1] then return -1 end
redis.call('ZREM', TOKENS_OF_CLIENT .. ARGV[1], ARGV[2])
redis.call('DEL', TOKEN .. ARGV[2])
changed()
return 1
