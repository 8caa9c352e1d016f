-- ARGV: how many at most, 0 for all. Returns {id, username, admin, when it was made, since when it is locked} of the
-- members whose accounts are locked, the latest first.
local found = {}
for _, id in ipairs(redis.call('ZRANGE', LOCKED, 0, tonumber(ARGV[1]) - 1, 'REV')) do
  found[#found + 1] = account(id)
end
return found
