-- ARGV: thread id, username of who cancels, '1' to skip the grace, origin (JSON). A final thread stays as it is; a
-- thread that does not run yet ends at once. Returns {worker to notify or '', meta (JSON), 1 where this has ended it}, or
-- {} where there is no such thread.
local id, by, force = ARGV[1], ARGV[2], ARGV[3] == '1'
local meta, now = load(id), clock()
if not meta then return {} end
local worker, was_final = '', FINAL[meta.status]
-- A call that changes nothing leaves no entry.
if not FINAL[meta.status] and not (meta.cancelling and (meta.forced or not force)) then
  local lines, origin = {}, cjson.decode(ARGV[4])
  audit(force and 'thread.kill' or 'thread.cancel', origin, id, meta)
  if force and meta.status ~= 'initialised' then
    lines[1] = now .. 'W' .. 'To be killed at once, as ' .. by .. ' asked'
  end
  if origin.reason ~= '' then
    lines[#lines + 1] = now .. 'I' .. 'The reason that ' .. by .. ' gave: ' .. origin.reason
  end
  append(id, meta, lines)
end
if meta.status == 'initialised' then
  worker = meta.worker or ''
  meta.cancelled_by, meta.cancelling, meta.cancel_asked = by, true, now
  conclude(id, meta, 'cancelled', '', '')
elseif not FINAL[meta.status] and not redis.call('ZSCORE', LEASES, id) then
  meta.cancelled_by, meta.cancelling, meta.cancel_asked = by, true, now
  conclude(id, meta, 'cancelled', '', 'No worker ran it any more')
elseif not FINAL[meta.status] then
  worker = meta.worker or ''
  if not meta.cancelling then
    meta.cancelling, meta.cancelled_by, meta.cancel_asked = true, by, now
    meta.message = 'Cancelling, as ' .. by .. ' asked'
    append(id, meta, {now .. 'W' .. meta.message})
  end
  meta.forced = meta.forced or force
  save(id, meta)
end
return {worker, cjson.encode(meta), FINAL[meta.status] and not was_final and 1 or 0}
