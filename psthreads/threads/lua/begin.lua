-- ARGV: thread id, token. Marks the thread as running. Returns Redis's time in milliseconds, or 0 where it must not
-- run.
local id, token = ARGV[1], ARGV[2]
local meta = load(id)
if not owns(meta, token) then return 0 end
local now = clock()
if meta.status == 'initialised' then
  meta.started, meta.heard, meta.message = now, now, 'Running'
  append(id, meta, {now .. 'I' .. 'Started by worker ' .. meta.worker})
  change(id, meta, 'inprogress', now)
end
return now
