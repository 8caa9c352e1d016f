-- ARGV: thread id, who asks, '1' to skip the grace. Returns {worker to tell or '', meta (JSON)}, or {} when
-- there is no such thread. A final thread stays as it is; a thread that does not run ends at once.
local id, by = ARGV[1], ARGV[2]
local meta = load(id)
if not meta then return {} end
local worker = ''
if meta.status == 'initialised' then
  worker = meta.worker or ''
  meta.cancelled_by, meta.cancelling = by, true
  conclude(id, meta, 'cancelled', '', '')
elseif not FINAL[meta.status] then
  worker = meta.worker
  if not meta.cancelling then
    local now = clock()
    meta.cancelling, meta.cancelled_by, meta.cancel_asked = true, by, now
    meta.message = 'Cancelling, as ' .. by .. ' asked'
    append(id, meta, {now .. 'W' .. meta.message})
  end
  meta.forced = meta.forced or ARGV[3] == '1'
  save(id, meta)
end
return {worker, cjson.encode(meta)}
