-- ARGV: 'member' or 'group', id, beginning of the other's name in lower case or '', name after which to go on or '',
-- how many. Returns {role, description of the other} for so many of its memberships and one more, by the other's name.
local kind, id, memberships = ARGV[1], ARGV[2], {}
local other = OTHER[kind]
local function all()
  local names = {}
  for _, other_id in ipairs(redis.call('HKEYS', LINKS[kind] .. id)) do
    names[#names + 1] = string.lower(describe(other, other_id)[2])
  end
  return names
end
local number = redis.call('HLEN', LINKS[kind] .. id)
for _, name in ipairs(names_in(SORTED_LINKS[kind] .. id, number, all, ARGV[3], ARGV[4], tonumber(ARGV[5]))) do
  local other_id = redis.call('HGET', NAMES[other], name)
  memberships[#memberships + 1] = {redis.call('HGET', LINKS[kind] .. id, other_id), describe(other, other_id)}
end
return memberships
