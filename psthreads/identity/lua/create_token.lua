-- ARGV: JSON with `member` (id), `name`, `digest` (SHA-256), `seconds` until it expires (0 for never), `scope` as it is
-- stored and `scope_words`, `origin`, and `most` (how many living tokens a member may have).
-- Returns 'done', 'member' where there is no such member, 'name' where a living token of the member has the name, or
-- 'many'.
local args = cjson.decode(ARGV[1])
local member, name, digest, seconds = args.member, args.name, args.digest, args.seconds
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
if redis.call('HLEN', TOKENS_OF .. member) >= args.most then return 'many' end
local now = clock()
local expires = seconds > 0 and now + seconds * 1000 or 0
redis.call('HSET', TOKEN .. digest, 'member', member, 'name', name, 'created', now, 'expires', expires,
  'reach', args.scope)
if seconds > 0 then redis.call('EXPIRE', TOKEN .. digest, seconds) end
redis.call('HSET', TOKENS_OF .. member, name, digest)
write_audit('token.create', args.origin, name, member, '', '', 'of ' .. username .. ': ' .. args.scope_words)
return 'done'
