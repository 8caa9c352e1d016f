-- ARGV: thread id, why. Settles a thread of an older copy of Redis, which may have run after that copy was made: it is
-- queued again where it may restart, else ended. Returns 'requeued', its final status, or '' where nothing was done.
local id, why = ARGV[1], ARGV[2]
local meta, now = load(id), clock()
if not meta or FINAL[meta.status] then return '' end
if not meta.restartable or meta.cancelling then
  conclude(id, meta, 'failed', why .. ': it is not known whether it ran after that', '')
  return meta.status
end
append(id, meta, {now .. 'W' .. why .. '; it may have run after that, and runs again'})
meta.message, meta.started = why .. '; queued again', 0
if meta.waits then
  save(id, meta)
else
  queue_again(id, meta, now)
end
return 'requeued'
