-- ARGV: thread id, token or '' for the janitor, why. Gives up an execution whose worker is lost or stopping; for the
-- janitor, only where the lease has run out. Returns 'requeued', the final status, or '' where nothing was done.
local id, token, why = ARGV[1], ARGV[2], ARGV[3]
local meta, now = load(id), clock()
if token == '' then
  local lease = redis.call('ZSCORE', LEASES, id)
  if not lease or tonumber(lease) > now then return '' end
  if not meta or FINAL[meta.status] then
    redis.call('ZREM', LEASES, id)
    return ''
  end
elseif not owns(meta, token) then
  return ''
end
if token == '' then count(meta, 'lost', now) end
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
