-- ARGV: what the supervisor has seen of the installation, the time as RQ writes it, for how many seconds the record of a
-- worker is kept; then for each worker the key of its record, that of its executions, and the thread id and the token of
-- what it runs, or '' and ''. Renews the records and the leases, together, where nothing has to be told: a worker
-- without a record, or whose thread is cancelling or no longer its own, has to ask by itself.
-- Returns the installation's ticks, then for each worker 1 where all of it was renewed, else 0.
if is_behind(ARGV[1]) then return {0} end
local now, answer = clock(), {tonumber(redis.call('HGET', 'ps:installation', 'ticks')) or 0}
for at = 4, #ARGV, 4 do
  local worker, executions, id, token = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local meta = id ~= '' and load(id)
  local renews = redis.call('EXISTS', worker) == 1 and (id == '' or owns(meta, token) and not meta.cancelling)
  if renews then
    redis.call('HSET', worker, 'last_heartbeat', ARGV[2], 'state', id == '' and @IDLE@ or @BUSY@)
    redis.call('EXPIRE', worker, ARGV[3])
    redis.call('DEL', executions)
    if id ~= '' then
      redis.call('SADD', executions, id .. ':' .. token)
      redis.call('EXPIRE', executions, ARGV[3])
      meta.heard = now
      store(id, meta)
      renew_lease(id, meta, now)
    end
  end
  answer[#answer + 1] = renews and 1 or 0
end
return answer
