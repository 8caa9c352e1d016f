-- ARGV: a group's id. Frees slots held by vanished threads and starts waiting ones. Returns the number of slots in use.
local group = ARGV[1]
for _, id in ipairs(redis.call('SMEMBERS', slots(group))) do
  local meta = load(id)
  if not meta or FINAL[meta.status] then
    redis.call('SREM', slots(group), id)
    redis.call('SREM', changes(group), id)
  end
end
promote(group)
return redis.call('SCARD', slots(group))
