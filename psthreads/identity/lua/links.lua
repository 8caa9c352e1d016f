-- ARGV: 'member' or 'group', id. Returns {role, description of the other} for each of its memberships.
local other, found = OTHER[ARGV[1]], {}
local links = redis.call('HGETALL', LINKS[ARGV[1]] .. ARGV[2])
for i = 1, #links, 2 do
  local it = describe(other, links[i])
  if it then found[#found + 1] = {links[i + 1], it} end
end
return found
