-- Put before every script by store.py, which fills in RQ's key names and the settings (@NAME@).
--
-- Each script is one atomic change: a Redis that is out of memory or read-only refuses the script's first
-- write, before anything has changed, or none at all.

local JOB, QUEUE, TAKEN, STARTED = '@JOB@', '@QUEUE@', '@TAKEN@', '@STARTED@'
local EXECUTION, EXECUTIONS = '@EXECUTION@', '@EXECUTIONS@'
local HALF_EVENTS, HALF_BYTES = @HALF_EVENTS@, @HALF_BYTES@
local RETENTION, LOST_AFTER, RESTARTS = @RETENTION@, @LOST_AFTER@, @RESTARTS@
local LEASES = 'ps:leases'
local FINAL = {completed = true, failed = true, cancelled = true}

-- What `rq info` and the like show for each of our statuses.
local RQ_STATUS = {
  initialised = 'queued', inprogress = 'started', warning = 'started', error = 'started',
  completed = 'finished', failed = 'failed', cancelled = 'canceled',
}

-- Milliseconds since the epoch by Redis's clock, the only one that decides anything.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function index(scope, kind) return 'ps:threads:' .. scope .. ':' .. kind end
local function head_of(id) return 'ps:log:' .. id end
local function tail_of(id) return 'ps:log:' .. id .. ':tail' end

local function load(id)
  local raw = redis.call('HGET', JOB .. id, 'meta')
  return raw and cjson.decode(raw)
end

local function save(id, meta)
  redis.call('HSET', JOB .. id, 'meta', cjson.encode(meta), 'status', RQ_STATUS[meta.status])
end

-- Give the thread another status, save it, and move it from index to index. `from` is nil for a new one.
local function change(id, meta, to, now)
  local from = meta.status
  meta.status = to
  save(id, meta)
  local scopes = {'server'}
  if meta.groupid ~= -1 then scopes[2] = meta.groupid end
  for _, scope in ipairs(scopes) do
    if from then redis.call('ZREM', index(scope, from), id) end
    if FINAL[to] then
      redis.call('ZREM', index(scope, 'active'), id)
      for _, kind in ipairs({to, 'finished'}) do
        redis.call('ZADD', index(scope, kind), now, id)
        redis.call('ZREMRANGEBYSCORE', index(scope, kind), '-inf', now - RETENTION)
      end
    else
      redis.call('ZADD', index(scope, to), meta.created, id)
      redis.call('ZADD', index(scope, 'active'), meta.created, id)
    end
  end
end

local function push(key, lines)
  for first = 1, #lines, 1000 do
    redis.call('RPUSH', key, unpack(lines, first, math.min(first + 999, #lines)))
  end
end

-- Append lines to the log. Head and tail are kept, each up to half of the caps; what falls out between
-- them is counted in meta, which the caller saves.
local function append(id, meta, lines)
  local head, tail = {}, {}
  for _, line in ipairs(lines) do
    local size = #line
    if not meta.log_full
      and (meta.log_head >= HALF_EVENTS or meta.log_head_bytes + size > HALF_BYTES) then
      meta.log_full = true
    end
    if meta.log_full then
      tail[#tail + 1] = line
      meta.log_tail = meta.log_tail + 1
      meta.log_tail_bytes = meta.log_tail_bytes + size
    else
      head[#head + 1] = line
      meta.log_head = meta.log_head + 1
      meta.log_head_bytes = meta.log_head_bytes + size
    end
  end
  push(head_of(id), head)
  push(tail_of(id), tail)
  while meta.log_tail > HALF_EVENTS or meta.log_tail_bytes > HALF_BYTES do
    local many = math.max(1, math.min(meta.log_tail - HALF_EVENTS, 1000))
    for _, gone in ipairs(redis.call('LPOP', tail_of(id), many)) do
      meta.log_tail = meta.log_tail - 1
      meta.log_tail_bytes = meta.log_tail_bytes - #gone
      meta.log_dropped = meta.log_dropped + 1
    end
  end
end

-- Forget who runs the thread: its lease, and what RQ keeps of the execution.
local function release(id, meta)
  redis.call('ZREM', LEASES, id)
  if meta.token then
    redis.call('ZREM', STARTED, id .. ':' .. meta.token)
    redis.call('DEL', EXECUTION .. id .. ':' .. meta.token, EXECUTIONS .. id)
  end
end

-- End the thread. A request to cancel it decides, whatever the end was to be.
local function conclude(id, meta, status, message, detail)
  local now = clock()
  if meta.cancelling then
    if status ~= 'cancelled' and detail == '' then detail = 'It was about to end: ' .. message end
    status, message = 'cancelled', 'Cancelled by ' .. meta.cancelled_by
    meta.cancelling = nil
  end
  meta.message, meta.ended, meta.heard = message, now, now
  local level = status == 'failed' and 'E' or 'I'
  local lines = {now .. level .. message}
  if detail ~= '' then table.insert(lines, 1, now .. 'W' .. detail) end
  append(id, meta, lines)
  change(id, meta, status, now)
  release(id, meta)
  for _, key in ipairs({JOB .. id, head_of(id), tail_of(id)}) do redis.call('PEXPIRE', key, RETENTION) end
end

-- Whether this execution still owns the thread.
local function owns(meta, token) return meta and not FINAL[meta.status] and meta.token == token end

-- Put the thread back into the queue, as if it had not been taken.
local function queue_again(id, meta, now, where)
  release(id, meta)
  meta.token, meta.worker, meta.report = nil, nil, nil
  change(id, meta, 'initialised', now)
  redis.call('LREM', TAKEN, 0, id)
  redis.call(where, QUEUE, id)
end
