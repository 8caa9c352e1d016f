-- ARGV: 'member' or 'group', id. Memberships go with it, and a member's tokens and clients. Returns 1, or 0 for none such.
local kind, id = ARGV[1], ARGV[2]
local found = describe(kind, id)
if not found then return 0 end
for _, other in ipairs(redis.call('HKEYS', LINKS[kind] .. id)) do
  redis.call('HDEL', LINKS[OTHER[kind]] .. other, id)
end
if kind == 'member' then
  for _, digest in ipairs(redis.call('HVALS', TOKENS_OF .. id)) do redis.call('DEL', TOKEN .. digest) end
  for _, client in ipairs(redis.call('HVALS', CLIENTS_OF .. id)) do drop_client(client) end
  redis.call('DEL', TOKENS_OF .. id, CLIENTS_OF .. id)
end
redis.call('HDEL', NAMES[kind], string.lower(found[2]))
redis.call('DEL', record(kind, id), LINKS[kind] .. id)
changed()
return 1
