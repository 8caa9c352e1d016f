-- ARGV: 'member' or 'group', name in lower case, nonce of this call, then the fields of the record.
-- Returns the new id, or nothing where the name is taken.
local kind, name, nonce = ARGV[1], ARGV[2], ARGV[3]
local known = redis.call('HGET', NAMES[kind], name)
if known then
  -- The same call, sent again because its answer was lost, finds its own work.
  return redis.call('HGET', record(kind, known), 'nonce') == nonce and known
end
local id = redis.call('INCR', 'ps:last-id:' .. kind)
redis.call('HSET', record(kind, id), 'nonce', nonce, 'created', clock(), unpack(ARGV, 4))
redis.call('HSET', NAMES[kind], name, id)
return id
