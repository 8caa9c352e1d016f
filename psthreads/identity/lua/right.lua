-- ARGV: member id, network, how many networks are kept, and for how many seconds. Notes that the password from there was
-- right, and forgets the wrong ones. A lock stays: others wait as long as before.
redis.call('HDEL', record('member', ARGV[1]), 'failures')
redis.call('ZADD', RIGHT .. ARGV[1], clock(), ARGV[2])
while redis.call('ZCARD', RIGHT .. ARGV[1]) > tonumber(ARGV[3]) do redis.call('ZPOPMIN', RIGHT .. ARGV[1]) end
redis.call('EXPIRE', RIGHT .. ARGV[1], ARGV[4])
return 1
