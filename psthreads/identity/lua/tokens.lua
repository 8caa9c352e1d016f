-- ARGV: member id. Returns {name, created, expires, scope, used} for each token that has not expired.
local tokens = {}
for _, digest in ipairs(redis.call('HVALS', TOKENS_OF .. ARGV[1])) do
  local token = redis.call('HMGET', TOKEN .. digest, 'name', 'created', 'expires', 'reach', 'used')
  if token[1] then tokens[#tokens + 1] = token end
end
return tokens
