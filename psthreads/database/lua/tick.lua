-- ARGV: the id of the installation as the caller knows it or '', the ticks that it has seen, '1' to count one more, the
-- ticks that the caller's store notes. Counts only where this Redis is that installation and has not lost ticks, and
-- keeps the store's note. Returns {id or '', ticks, 1 where this Redis was in use before, the first refusal (JSON) or
-- '', the last ids of groups and members, the highest note of a store, the number of
-- claims}.
local INSTALLATION, REFUSALS = 'ps:installation', 'ps:installation:refusals'
local known, seen = ARGV[1], tonumber(ARGV[2])
local id, ticks, noted, claims = unpack(redis.call('HMGET', INSTALLATION, 'id', 'ticks', 'noted', 'claims'))
ticks, noted = tonumber(ticks) or 0, tonumber(noted) or 0
if ARGV[3] == '1' and id and id == known and ticks >= seen then
  ticks = redis.call('HINCRBY', INSTALLATION, 'ticks', 1)
  if tonumber(ARGV[4]) > noted then redis.call('HSET', INSTALLATION, 'noted', ARGV[4]) end
end
local groups, members = redis.call('GET', 'ps:last-id:group'), redis.call('GET', 'ps:last-id:member')
local was_used = groups or members or redis.call('EXISTS', 'ps:feed') == 1
local refusal = redis.call('ZRANGE', REFUSALS, clock(), '+inf', 'BYSCORE', 'LIMIT', 0, 1)[1]
return {id or '', ticks, was_used and 1 or 0, refusal or '', tonumber(groups or 0), tonumber(members or 0),
  noted, tonumber(claims or 0)}
