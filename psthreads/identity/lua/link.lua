-- ARGV: member id, group id, role, or '' to end the membership, origin (JSON), '1' to let waiting threads begin.
-- Returns 'done', or what does not exist: 'member', 'group', 'membership'.
local member, group, role, origin = ARGV[1], ARGV[2], ARGV[3], cjson.decode(ARGV[4])
local username = redis.call('HGET', record('member', member), 'username')
if not username then return 'member' end
local name = redis.call('HGET', record('group', group), 'name')
if not name then return 'group' end
local former = redis.call('HGET', LINKS.member .. member, group)
if role == '' and not former then return 'membership' end
if role == former then return 'done' end  -- A call that changes nothing leaves no entry.
changed()
if role == '' then
  if ARGV[5] == '1' then keep_threads(member, group) end
  redis.call('HDEL', LINKS.group .. group, member)
  redis.call('HDEL', LINKS.member .. member, group)
  redis.call('ZREM', SORTED_LINKS.group .. group, string.lower(username))
  redis.call('ZREM', SORTED_LINKS.member .. member, string.lower(name))
  write_audit('role.remove', origin, username, member, group, name, former)
  return 'done'
end
redis.call('HSET', LINKS.member .. member, group, role)
redis.call('HSET', LINKS.group .. group, member, role)
redis.call('ZADD', SORTED_LINKS.group .. group, 0, string.lower(username))
redis.call('ZADD', SORTED_LINKS.member .. member, 0, string.lower(name))
write_audit('role.set', origin, username, member, group, name, role)
return 'done'
