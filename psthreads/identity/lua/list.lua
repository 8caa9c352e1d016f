-- ARGV: 'member' or 'group'. Returns the descriptions of all.
local descriptions = {}
for _, id in ipairs(redis.call('HVALS', NAMES[ARGV[1]])) do
  descriptions[#descriptions + 1] = describe(ARGV[1], id)
end
return descriptions
