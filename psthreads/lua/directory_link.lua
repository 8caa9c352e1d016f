-- ARGV: member id, group id, role, or '' to end the membership.
-- Returns 'done', or what there is not: 'member', 'group', 'membership'.
local member, group, role = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', record('member', member)) == 0 then return 'member' end
if redis.call('EXISTS', record('group', group)) == 0 then return 'group' end
changed()
if role == '' then
  redis.call('HDEL', LINKS.group .. group, member)
  return redis.call('HDEL', LINKS.member .. member, group) == 1 and 'done' or 'membership'
end
redis.call('HSET', LINKS.member .. member, group, role)
redis.call('HSET', LINKS.group .. group, member, role)
return 'done'
