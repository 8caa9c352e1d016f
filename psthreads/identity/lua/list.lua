-- ARGV: 'member' or 'group'. Returns the descriptions of all.
local found = {}
for _, id in ipairs(redis.call('HVALS', NAMES[ARGV[1]])) do
  found[#found + 1] = describe(ARGV[1], id)
end
return found
