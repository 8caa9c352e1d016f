-- ARGV: how many at most, 0 for all. Returns the accounts of the members whose accounts are
-- locked, the latest first.
local accounts = {}
redis.call('ZREMRANGEBYSCORE', LOCKED, '-inf', clock())
for _, id in ipairs(redis.call('ZRANGE', LOCKED, 0, tonumber(ARGV[1]) - 1, 'REV')) do
  accounts[#accounts + 1] = account(id)
end
return accounts
