-- ARGV: JSON with `kind` ('member' or 'group'), `key` (the name in lower case), `name`, `nonce` of this call, `origin`,
-- `fields` of the record, and `above`: the highest id that files are known of. Returns the new id, or nothing where the
-- name is taken.
local args = cjson.decode(ARGV[1])
local kind, key, name = args.kind, args.key, args.name
local existing = redis.call('HGET', NAMES[kind], key)
if existing then
  -- The same call, sent again because its answer was lost, finds its own work.
  return redis.call('HGET', record(kind, existing), 'nonce') == args.nonce and existing
end
-- A Redis that is new would begin at 1 again, and the new group would get the files of an old one.
local last = 'ps:last-id:' .. kind
if tonumber(redis.call('GET', last) or 0) < args.above then redis.call('SET', last, args.above) end
local id = redis.call('INCR', last)
redis.call('HSET', record(kind, id), 'nonce', args.nonce, 'created', clock())
for field, value in pairs(args.fields) do redis.call('HSET', record(kind, id), field, value) end
redis.call('HSET', NAMES[kind], key, id)
redis.call('ZADD', SORTED[kind], 0, key)
if kind == 'group' then
  write_audit('group.add', args.origin, name, id, id, name, '')
  return id
end
local is_admin = redis.call('HGET', record(kind, id), 'admin') == '1'
if is_admin and administrators() > 0 then redis.call('SADD', ADMINISTRATORS, id) end
write_audit('member.add', args.origin, name, id, '', '', is_admin and 'administrator' or '')
return id
