-- ARGV: member id. Returns {name, created, expires, reach} for each token that lives.
local found = {}
for _, digest in ipairs(redis.call('HVALS', TOKENS_OF .. ARGV[1])) do
  local token = redis.call('HMGET', TOKEN .. digest, 'name', 'created', 'expires', 'reach')
  if token[1] then found[#found + 1] = token end
end
return found
