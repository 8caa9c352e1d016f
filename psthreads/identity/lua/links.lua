-- ARGV: 'member' or 'group', id. Returns {role, description of the other} for each membership.
local other, memberships = OTHER[ARGV[1]], {}
local links = redis.call('HGETALL', LINKS[ARGV[1]] .. ARGV[2])
for i = 1, #links, 2 do
  local description = describe(other, links[i])
  if description then memberships[#memberships + 1] = {links[i + 1], description} end
end
return memberships
