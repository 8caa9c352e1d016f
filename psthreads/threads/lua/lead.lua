-- ARGV: name of a janitor, for how many milliseconds it leads. Returns 1 where it leads from now on, 0 where another one does.
local leader = redis.call('GET', 'ps:janitor')
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', 'ps:janitor', ARGV[1], 'PX', ARGV[2])
return 1
