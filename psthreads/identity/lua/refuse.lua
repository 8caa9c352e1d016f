-- ARGV: JSON with `act`, `claimed` (a username in lower case that was typed, or ''), `by`, `byid` and `address` of who was
-- refused, `network` of that address, `subject` (the request), `reason`, and how many a minute are kept: `most` of all,
-- `share` of one network.
-- Returns 1, or 0 where it is only counted; the next minute's first entry gives their number.
local args, now = cjson.decode(ARGV[1]), clock()
local minute = tostring(math.floor(now / 60000))
local current, left = unpack(redis.call('HMGET', REFUSALS, 'minute', 'left'))
local function write(act, by, byid, address, subject, reason, detail)
  redis.call('XADD', REFUSED, 'MAXLEN', '~', args.kept, '*', 'act', act, 'by', by, 'byid', byid, 'address', address,
    'subject', subject, 'id', '', 'group', '', 'groupname', '', 'reason', reason, 'detail', detail)
end
if current ~= minute then
  redis.call('DEL', REFUSALS)
  redis.call('HSET', REFUSALS, 'minute', minute)
  if left then write('refused.more', '', '', '', '', '', left .. ' more') end
end
if redis.call('HINCRBY', REFUSALS, 'all', 1) > args.most
  or redis.call('HINCRBY', REFUSALS, 'of:' .. args.network, 1) > args.share then
  redis.call('HINCRBY', REFUSALS, 'left', 1)
  return 0
end
-- What is no member's name may be a password in the wrong field.
local by, byid = args.by, args.byid
if byid == '' and args.claimed ~= '' then
  byid = redis.call('HGET', NAMES.member, args.claimed) or ''
  by = byid ~= '' and redis.call('HGET', record('member', byid), 'username') or ''
end
write(args.act, by, byid, args.address, args.subject, args.reason, '')
return 1
