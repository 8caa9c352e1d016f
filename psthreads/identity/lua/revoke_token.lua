-- ARGV: member id, name, origin. Returns 1, or 0 where the member has no such token.
local member, name = ARGV[1], ARGV[2]
local digest = redis.call('HGET', TOKENS_OF .. member, name)
if not digest then return 0 end
redis.call('HDEL', TOKENS_OF .. member, name)
changed()
if redis.call('DEL', TOKEN .. digest) == 0 then return 0 end  -- It had expired.
audit(ARGV[3], 'token.revoke', name, member, '', '', 'of ' .. redis.call('HGET', record('member', member), 'username'))
return 1
