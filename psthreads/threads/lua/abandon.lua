-- ARGV: thread id, or '' for whichever the execution has; token or '' for a janitor; why; for a janitor the lease's score
-- as it saw it, and for how many milliseconds it has seen no other, else '' and ''; '1' from a worker that knows that the
-- thread's code has not begun; then the last report as take_in has it. Gives up an execution whose worker is lost, cut off
-- or stopping; for a janitor, only where the lease was not renewed meanwhile. Returns 'requeued', the final status, or ''
-- where nothing was done.
local id, token, why = ARGV[1], ARGV[2], ARGV[3]
if id == '' then id = thread_of(token) end
local meta, now = load(id), clock()
-- A worker of the release before this one claims and begins in two steps.
local has_begun = ARGV[6] == '' and meta and meta.status ~= 'initialised'
if token == '' then
  if redis.call('ZSCORE', LEASES, id) ~= ARGV[4] then return '' end
  if not meta or FINAL[meta.status] then
    redis.call('ZREM', LEASES, id)
    return ''
  end
  -- Where its code has not begun, it is not at work, and cannot begin any more.
  local lease = has_begun and (meta.lease or lease_of(meta)) or milliseconds('lost_after')
  if tonumber(ARGV[5]) < @LOST@ * lease then return '' end
elseif not owns(meta, token) then
  return ''
end
if why == @WORKER_LOST@ then count(meta, 'lost', now) end
local _, lines = take_in(meta, 7, now)
if has_begun and not (meta.restartable and not meta.cancelling and meta.restarts < setting('restarts')) then
  conclude(id, meta, 'failed', why, '', '', lines)
  return meta.status
end
if meta.cancelling then
  conclude(id, meta, 'cancelled', '', '', '', lines)
  return meta.status
end
if has_begun then
  meta.restarts = meta.restarts + 1
  meta.message = why .. '; queued again, restart ' .. meta.restarts .. ' of ' .. setting('restarts')
  lines[#lines + 1] = now .. 'W' .. meta.message
elseif meta.status ~= 'initialised' then
  meta.message = 'Waiting for a worker'
  lines[#lines + 1] = now .. 'I' .. why .. ' before it had begun; queued again'
end
meta.started = 0
append(id, meta, lines)
queue_again(id, meta, now)
return 'requeued'
