-- ARGV: why a process does not work here (JSON), and for how many milliseconds that counts.
local REFUSALS, now = 'ps:installation:refusals', clock()
redis.call('ZREMRANGEBYSCORE', REFUSALS, '-inf', now)
redis.call('ZADD', REFUSALS, now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', REFUSALS, ARGV[2])
