-- ARGV: a group's id. Threads of it wait although it has a slot for them, or slots are held by threads that are
-- gone: both are mended. Returns how many slots the group now uses.
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
