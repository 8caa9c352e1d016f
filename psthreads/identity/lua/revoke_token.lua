-- ARGV: member id, name, origin (JSON). Returns 1, or 0 where the member has no such token.
local member, name = ARGV[1], ARGV[2]
local digest = redis.call('HGET', TOKENS_OF .. member, name)
if not digest then return 0 end
redis.call('HDEL', TOKENS_OF .. member, name)
changed()
if redis.call('DEL', TOKEN .. digest) == 0 then return 0 end  -- It had expired.
local username = redis.call('HGET', record('member', member), 'username')
write_audit('token.revoke', cjson.decode(ARGV[3]), name, member, '', '', 'of ' .. username)
return 1
