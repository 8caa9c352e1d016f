-- ARGV: id of a client. Returns {SHA-256 of its secret, scope}, or nothing.
local client = redis.call('HMGET', CLIENT .. ARGV[1], 'secret', 'reach')
return client[1] and client
