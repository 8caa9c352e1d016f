-- ARGV: 'member' or 'group', id, origin (JSON), '1' to let a member's waiting threads begin. Memberships go with it, and a member's tokens and clients. Returns
-- 'done', 'none' where it does not exist, or why a member cannot be removed: 'self', 'last'.
local kind, id, origin = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local description = describe(kind, id)
if not description then return 'none' end
local why = kind == 'member' and indispensable(id, origin)
if why then return why end
local name = description[2]
local key = string.lower(name)
for _, other in ipairs(redis.call('HKEYS', LINKS[kind] .. id)) do
  redis.call('HDEL', LINKS[OTHER[kind]] .. other, id)
  redis.call('ZREM', SORTED_LINKS[OTHER[kind]] .. other, key)
end
if kind == 'member' then
  if ARGV[4] == '1' then keep_threads(id, 'all') end
  for _, digest in ipairs(redis.call('HVALS', TOKENS_OF .. id)) do redis.call('DEL', TOKEN .. digest) end
  for _, client in ipairs(redis.call('HVALS', CLIENTS_OF .. id)) do drop_client(client) end
  redis.call('DEL', TOKENS_OF .. id, CLIENTS_OF .. id)
  redis.call('SREM', ADMINISTRATORS, id)
  redis.call('ZREM', LOCKED, id)
  redis.call('DEL', RIGHT .. id)
  local identity = redis.call('HGET', record(kind, id), 'identity')
  if identity then redis.call('HDEL', IDENTITIES, identity) end
end
redis.call('HDEL', NAMES[kind], key)
redis.call('ZREM', SORTED[kind], key)
redis.call('DEL', record(kind, id), LINKS[kind] .. id, SORTED_LINKS[kind] .. id)
changed()
write_audit(kind .. '.remove', origin, name, id, kind == 'group' and id or '', kind == 'group' and name or '', '')
return 'done'
