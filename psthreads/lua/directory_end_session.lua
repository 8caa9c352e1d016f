-- ARGV: key of a session, seconds for which its cookie could still be shown. Returns 'OK'.
local ended = redis.call('SET', ENDED .. ARGV[1], 1, 'EX', ARGV[2])
changed()
return ended
