-- ARGV: id of a client. Returns {SHA-256 of its secret, reach}, or nothing.
local found = redis.call('HMGET', CLIENT .. ARGV[1], 'secret', 'reach')
return found[1] and found
