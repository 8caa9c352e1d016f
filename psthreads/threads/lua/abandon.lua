-- ARGV: thread id, token or '' for a janitor, why; for a janitor also the lease's score as it saw it, and for how many
-- milliseconds it has seen no other. Gives up an execution whose worker is lost, cut off or stopping; for a janitor, only
-- where the lease was not renewed meanwhile. Returns 'requeued', the final status, or '' where nothing was done.
local id, token, why = ARGV[1], ARGV[2], ARGV[3]
local meta, now = load(id), clock()
if token == '' then
  if redis.call('ZSCORE', LEASES, id) ~= ARGV[4] then return '' end
  if not meta or FINAL[meta.status] then
    redis.call('ZREM', LEASES, id)
    return ''
  end
  -- Where its code has not begun, it is not at work, and cannot begin any more.
  local lease = meta.status == 'initialised' and milliseconds('lost_after') or meta.lease or lease_of(meta)
  if tonumber(ARGV[5]) < @LOST@ * lease then return '' end
elseif not owns(meta, token) then
  return ''
end
if why == @WORKER_LOST@ then count(meta, 'lost', now) end
if meta.status == 'initialised' then  -- Claimed, but its code had not begun.
  queue_again(id, meta, now)
  return 'requeued'
end
if meta.restartable and not meta.cancelling and meta.restarts < setting('restarts') then
  meta.restarts = meta.restarts + 1
  meta.message = why .. '; queued again, restart ' .. meta.restarts .. ' of ' .. setting('restarts')
  meta.started = 0
  append(id, meta, {now .. 'W' .. meta.message})
  queue_again(id, meta, now)
  return 'requeued'
end
conclude(id, meta, 'failed', why, '')
return meta.status
