-- ARGV: JSON with `member` (id), `act` for the audit, `origin`, `stamp` that the member must have or '', and `fields`
-- with their new values. Returns 1, 0 where there is no such member, or -1 where the stamp is another one.
local args = cjson.decode(ARGV[1])
local key = record('member', args.member)
local username, stamp = unpack(redis.call('HMGET', key, 'username', 'stamp'))
if not username then return 0 end
-- A new stamp is random: the same call, sent again because its answer was lost, finds its own work.
if stamp == args.fields.stamp then return 1 end
if args.stamp ~= '' and stamp ~= args.stamp then return -1 end
for field, value in pairs(args.fields) do redis.call('HSET', key, field, value) end
changed()
write_audit(args.act, args.origin, username, args.member, '', '', '')
return 1
