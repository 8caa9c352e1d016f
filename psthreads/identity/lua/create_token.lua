-- ARGV: member id, name, SHA-256 of the token, seconds until it expires, 0 for never, reach, origin, the reach in words.
-- ARGV[8]: how many living tokens a member may have.
-- Returns 'done', 'member' where there is none such, 'name' where a living token of the member has it, 'many'.
local member, name, digest, seconds = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local username = redis.call('HGET', record('member', member), 'username')
if not username then return 'member' end
local tokens = redis.call('HGETALL', TOKENS_OF .. member)
for i = 1, #tokens, 2 do
  if redis.call('EXISTS', TOKEN .. tokens[i + 1]) == 0 then
    redis.call('HDEL', TOKENS_OF .. member, tokens[i])  -- It has expired.
  elseif tokens[i] == name then
    -- The same call, sent again because its answer was lost, finds its own work.
    return tokens[i + 1] == digest and 'done' or 'name'
  end
end
if redis.call('HLEN', TOKENS_OF .. member) >= tonumber(ARGV[8]) then return 'many' end
local now = clock()
local expires = seconds > 0 and string.format('%.0f', now + seconds * 1000) or 0
redis.call('HSET', TOKEN .. digest, 'member', member, 'name', name, 'created', now, 'expires', expires, 'reach', ARGV[5])
if seconds > 0 then redis.call('EXPIRE', TOKEN .. digest, seconds) end
redis.call('HSET', TOKENS_OF .. member, name, digest)
audit(ARGV[6], 'token.create', name, member, '', '', 'of ' .. username .. ': ' .. ARGV[7])
return 'done'
