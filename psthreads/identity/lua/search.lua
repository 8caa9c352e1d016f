-- ARGV: 'member' or 'group', beginning of the name in lower case or '', name after which to go on or '', how many.
-- Returns the descriptions of so many and one more, by name; of members also created and locked.
local kind, descriptions = ARGV[1], {}
local function all() return redis.call('HKEYS', NAMES[kind]) end
local number = redis.call('HLEN', NAMES[kind])
for _, name in ipairs(names_in(SORTED[kind], number, all, ARGV[2], ARGV[3], tonumber(ARGV[4]))) do
  local id = redis.call('HGET', NAMES[kind], name)
  descriptions[#descriptions + 1] = kind == 'member' and account(id) or describe(kind, id)
end
return descriptions
