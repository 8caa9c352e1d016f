-- ARGV: id of a client, also in lower case in place of its own. Returns {SHA-256 of its secret, scope, its own id}, or
-- nothing. One of PageSeeder's clients writes every id in lower case.
for _, id in ipairs({ARGV[1], string.lower(ARGV[1])}) do
  local client = redis.call('HMGET', CLIENT .. id, 'secret', 'reach')
  if client[1] then return {client[1], client[2], id} end
end
