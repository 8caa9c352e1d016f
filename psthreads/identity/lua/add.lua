-- ARGV: 'member' or 'group', name in lower case, name, nonce of this call, origin, then the fields of the record.
-- Returns the new id, or nothing where the name is taken.
local kind, key, name, nonce, origin = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local known = redis.call('HGET', NAMES[kind], key)
if known then
  -- The same call, sent again because its answer was lost, finds its own work.
  return redis.call('HGET', record(kind, known), 'nonce') == nonce and known
end
local id = redis.call('INCR', 'ps:last-id:' .. kind)
redis.call('HSET', record(kind, id), 'nonce', nonce, 'created', clock(), unpack(ARGV, 6))
redis.call('HSET', NAMES[kind], key, id)
redis.call('ZADD', SORTED[kind], 0, key)
if kind == 'group' then
  audit(origin, 'group.add', name, id, id, name, '')
  return id
end
local is_admin = redis.call('HGET', record(kind, id), 'admin') == '1'
if is_admin and administrators() > 0 then redis.call('SADD', ADMINISTRATORS, id) end
audit(origin, 'member.add', name, id, '', '', is_admin and 'administrator' or '')
return id
