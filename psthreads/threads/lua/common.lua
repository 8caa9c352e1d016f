-- The first part of every script of this folder: the state of a thread, its listings, log and slots.
--
-- Each script is one atomic change: a Redis that is out of memory or read-only refuses the script's first write, before
-- anything has changed, or none at all.

local JOB, QUEUE, TAKEN, STARTED = @JOB@, @QUEUE@, @TAKEN@, @STARTED@
local LEASES, QUEUED, WAITING, FEED, ACCESS = 'ps:leases', 'ps:queued', 'ps:waiting', 'ps:feed', 'ps:access'
local TOMBSTONES, IDS = 'ps:tombstones', 'ps:ids'
local FEED_LENGTH = 10000
local HOUR, DAY, KEPT_DAYS = 3600000, 86400000, 8
local STATUSES, FINAL = @STATUSES@, @FINAL@
local RQ_STATUS = @RQ_STATUS@  -- what `rq info` and the like show for each of our statuses

local function index(scope, kind) return 'ps:threads:' .. scope .. ':' .. kind end
local function head_of(id) return 'ps:log:' .. id end
local function tail_of(id) return 'ps:log:' .. id .. ':tail' end

-- Return the record of a thread as it is stored, '' for a key that holds no record, false where there is none.
local function raw_of(id)
  local raw = redis.pcall('HGET', JOB .. id, 'meta')
  return type(raw) == 'table' and '' or raw
end

-- Return the record of a thread for a list; without its own XML once the list's records have filled 4 MB.
local listed_bytes = 0
local function list_entry(id)
  local raw = raw_of(id)
  if not raw then return raw end
  if listed_bytes + #raw > 4194304 then
    local is_json, meta = pcall(cjson.decode, raw)
    if is_json and type(meta) == 'table' then
      meta.xml = ''
      raw = cjson.encode(meta)
    end
  end
  listed_bytes = listed_bytes + #raw
  return raw
end

-- Ids of threads whose records lack a field, or hold a wrong value; and of those that a newer version wrote.
local damaged, newer = {}, {}

local DEFAULTS = @DEFAULTS@  -- what counts for a field that a record does not have

local KINDS, REQUIRED = @KINDS@, @REQUIRED@

local function with_defaults(meta) return setmetatable(meta, {__index = DEFAULTS}) end

-- Return the record of a thread with all fields that it must have, by the rules of records.py.
local function load(id)
  local raw = raw_of(id)
  if not raw then return raw end
  local is_json, meta = pcall(cjson.decode, raw)
  if not is_json or type(meta) ~= 'table' then meta, damaged[id] = {}, true end
  local type = type
  for name, value in pairs(meta) do
    local kind = KINDS[name]
    if kind and (type(value) ~= kind
      or kind == 'number' and not (value >= -1 and value < 253402300800000 and value % 1 == 0)) then
      meta[name], damaged[id] = nil, true
    end
  end
  for name, default in pairs(REQUIRED) do
    if meta[name] == nil then meta[name], damaged[id] = default, true end
  end
  if not RQ_STATUS[meta.status] then meta.status, damaged[id] = 'failed', true end
  if type(meta.version) == 'number' and meta.version > @VERSION@ then damaged[id], newer[id] = nil, true end
  return with_defaults(meta)
end

-- Write the record, and other fields of the job's hash, if given. What has its default is left out. Returns it as stored.
local function store(id, meta, fields)
  for name, value in pairs(meta) do
    if value == DEFAULTS[name] then meta[name] = nil end
  end
  local raw = cjson.encode(meta)
  redis.call('HSET', JOB .. id, 'meta', raw, 'status', RQ_STATUS[meta.status], unpack(fields or {}))
  return raw
end

-- Save a change that people can see, and wake the followers. `rev` counts these changes; the ETag is made of it.
local function save(id, meta, fields)
  meta.rev = meta.rev + 1
  local raw = store(id, meta, fields)
  redis.call('XADD', FEED, 'MAXLEN', '~', FEED_LENGTH, '*', 't', id, 'g', meta.groupid)
  return raw
end

-- Return the scopes in which a thread is listed: by status for the server and its group; as `active` also for its member
-- and its process; as `finished` for these two alone, since the three final statuses have the others.
local function by_status(meta)
  if meta.groupid == -1 then return {'server'} end
  return {'server', meta.groupid}
end

local function by_owner(meta) return {'member:' .. meta.memberid, 'process:' .. meta.process} end

local function by_state(meta)
  local scopes = by_status(meta)
  for _, scope in ipairs(by_owner(meta)) do scopes[#scopes + 1] = scope end
  return scopes
end

-- Listings of what has ended expire, and now and then lose what is too old. No reader counts on that.
local function enter(scopes, kind, id, score, ends)
  for _, scope in ipairs(scopes) do
    local key = index(scope, kind)
    redis.call('ZADD', key, score, id)
    if ends then
      redis.call('PEXPIRE', key, milliseconds('retention'))
      if score % 16 == 0 then redis.call('ZREMRANGEBYSCORE', key, '-inf', score - milliseconds('retention')) end
    end
  end
end

-- Return the keys that a listing is read from: `finished` threads of the server or a group are in three, and `all` are
-- those with the active ones.
local function keys_of(scope, kind)
  if kind == 'all' then return {index(scope, 'active'), unpack(keys_of(scope, 'finished'))} end
  if kind ~= 'finished' or string.find(scope, ':', 1, true) then return {index(scope, kind)} end
  local keys = {}
  for _, status in ipairs(STATUSES) do
    if FINAL[status] then keys[#keys + 1] = index(scope, status) end
  end
  return keys
end

local function count_between(keys, lowest, highest)
  local total = 0
  for _, key in ipairs(keys) do total = total + redis.call('ZCOUNT', key, lowest, highest) end
  return total
end

local function counts_above(keys, score)
  local positions, total = {}, 0
  for number, key in ipairs(keys) do
    positions[number] = redis.call('ZCOUNT', key, '(' .. string.format('%.0f', score), '+inf')
    total = total + positions[number]
  end
  return positions, total
end

-- Return the entries of a listing from a position in each of its keys on, but for the first `skipped`, newest first: a
-- list of {id, score, key}.
local function merged(keys, positions, skipped, many)
  local parts, entries = {}, {}
  for number, key in ipairs(keys) do
    local last = positions[number] + skipped + many - 1
    parts[number] = {key, redis.call('ZRANGE', key, positions[number], last, 'REV', 'WITHSCORES'), 1}
  end
  for count = 1, skipped + many do
    local newest, id, score
    for _, part in ipairs(parts) do
      local other, at = part[2][part[3]], tonumber(part[2][part[3] + 1])
      if other and (not newest or at > score or at == score and other > id) then newest, id, score = part, other, at end
    end
    if not newest then break end
    if count > skipped then entries[count - skipped] = {id, newest[2][newest[3] + 1], newest[1]} end
    newest[3] = newest[3] + 2
  end
  return entries
end

-- Return the entries of a listing from its `first` on, which is 0 for the newest. What that costs does not grow with it.
local function entries_from(keys, first, many)
  if #keys == 1 then return merged(keys, {first}, 0, many) end
  -- The lowest score that has no more than `first` entries above it.
  local low, high = -1, 253402300800000
  while first > 0 and low < high do
    local middle = math.floor((low + high) / 2)
    local _, above = counts_above(keys, middle)
    if above > first then low = middle + 1 else high = middle end
  end
  local positions, above = counts_above(keys, high)
  return merged(keys, positions, first - above, many)
end

local function depart(scopes, kind, id)
  for _, scope in ipairs(scopes) do redis.call('ZREM', index(scope, kind), id) end
end

-- Give the thread another status, save it, and move it from listing to listing. A new thread has no status before, and
-- other fields of the job's hash. Returns the record as stored.
local function change(id, meta, to, now, fields)
  local from, ends = meta.status, FINAL[to]
  meta.status = to
  local raw = save(id, meta, fields)
  if from then depart(by_status(meta), from, id) end
  enter(by_status(meta), to, id, ends and now or meta.created, ends)
  if ends then
    depart(by_state(meta), 'active', id)
    enter(by_owner(meta), 'finished', id, now, true)
  elseif not from then
    enter(by_state(meta), 'active', id, meta.created, false)
  end
  return raw
end

-- Count one more in a hash that is kept for some days.
local function count_in(key, field)
  if redis.call('HINCRBY', key, field, 1) == 1 then redis.call('PEXPIRE', key, KEPT_DAYS * DAY) end
end

-- Count an event of the hour, and a duration of the day, for the server and for the group.
local function count(meta, what, now, ran)
  for _, scope in ipairs(by_status(meta)) do
    count_in('ps:hours:' .. scope .. ':' .. math.floor(now / HOUR), what)
    if ran then
      -- A duration is counted in steps of a quarter of an octave, so that a median is right within a tenth.
      local step = math.floor(4 * math.log(math.max(1, ran)) / math.log(2))
      count_in('ps:durations:' .. scope .. ':' .. math.floor(now / DAY), meta.process .. ':' .. step)
    end
  end
end

-- Count an end for monitors, which read one hash: a field for each process, status and steps of two times. A step is a
-- factor of four. There are twelve; 0 stands for a thread that never began.
local function step_of(ms) return math.min(12, math.max(1, math.floor(math.log(math.max(1, ms)) / math.log(4) + 1e-9))) end
local function count_end(meta, status, now)
  local waited, ran = 0, 0
  if meta.started > 0 then waited, ran = step_of(meta.started - meta.created), step_of(now - meta.started) end
  redis.call('HINCRBY', 'ps:ended', meta.process .. '|' .. status .. '|' .. waited .. '|' .. ran, 1)
end

-- Return the text, cut between two characters where it is longer than so many bytes.
local function cut(text, most)
  if #text <= most then return text end
  while most > 0 and bit.band(string.byte(text, most + 1), 0xC0) == 0x80 do most = most - 1 end
  return string.sub(text, 1, most) .. '\226\128\166'  -- an ellipsis
end

-- Record who did this to the thread, from where and why.
local function audit(act, origin, id, meta)
  local group = meta.groupid ~= -1 and meta.groupid or ''
  write_audit(act, origin, cut(meta.name, 1000), id, group, meta.groupname, meta.process)
end

local function push(key, lines)
  for first = 1, #lines, 1000 do
    redis.call('RPUSH', key, unpack(lines, first, math.min(first + 999, #lines)))
  end
end

-- Count the bytes of a group's logs by the day. The days are forgotten with the retention, as the logs are.
local function count_logged(meta, bytes)
  if meta.groupid ~= -1 and bytes ~= 0 then
    redis.call('HINCRBY', 'ps:logged:' .. meta.groupid, math.floor(clock() / 86400000), bytes)
  end
end

-- Append lines to the log. Head and tail are kept, each up to half of the caps; meta counts the lines that are dropped
-- between them. The caller saves meta.
local function append(id, meta, lines)
  local head, tail = {}, {}
  local most_lines, most_bytes = math.floor(setting('log_events') / 2), math.floor(setting('log_bytes') / 2)
  local before = meta.log_head_bytes + meta.log_tail_bytes
  for _, line in ipairs(lines) do
    local size = #line
    if not meta.log_full
      and (meta.log_head >= most_lines or meta.log_head_bytes + size > most_bytes) then
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
  while meta.log_tail > most_lines or meta.log_tail_bytes > most_bytes do
    local many = math.max(1, math.min(meta.log_tail - most_lines, 1000))
    for _, dropped in ipairs(redis.call('LPOP', tail_of(id), many)) do
      meta.log_tail = meta.log_tail - 1
      meta.log_tail_bytes = meta.log_tail_bytes - #dropped
      meta.log_dropped = meta.log_dropped + 1
    end
  end
  count_logged(meta, meta.log_head_bytes + meta.log_tail_bytes - before)
end

-- Count a start for each of the limits of start_limits.py. Where one is reached, count it for none, and return its
-- position and in how many milliseconds it allows a start.
local function count_start(limits, now)
  for position, limit in ipairs(limits) do
    local oldest = redis.call('LINDEX', limit.key, limit.most - 1)
    local wait = oldest and oldest + limit.milliseconds - now or 0
    if wait > 0 then return {position, wait} end
  end
  for _, limit in ipairs(limits) do
    redis.call('LPUSH', limit.key, now)
    redis.call('LTRIM', limit.key, 0, limit.most - 1)
    redis.call('PEXPIRE', limit.key, limit.milliseconds)
  end
end

-- A group's share of the workers. An admitted thread is in the queue or runs, and holds one of the group's slots. The
-- others wait in two lists, in which threads that have ended meanwhile are skipped.
local function slots(group) return 'ps:slots:' .. group end
local function changes(group) return 'ps:slots:' .. group .. ':changes' end
local function waiting(group) return 'ps:waiting:' .. group end
local function waiting_changes(group) return 'ps:waiting:' .. group .. ':changes' end

local function admit(id, meta, where)
  if meta.groupid ~= -1 then
    redis.call('SADD', slots(meta.groupid), id)
    if meta.exclusive then redis.call('SADD', changes(meta.groupid), id) end
  end
  redis.call('ZADD', QUEUED, meta.created, id)
  redis.call(where, QUEUE, id)
end

-- Return how many threads a group may have in the queue or running. Without a setting it is one less than the workers
-- that there are, so that one group never takes them all; before any has registered, it is four.
local function share()
  local most = setting('group_threads')
  if most > 0 then return most end
  local workers = redis.call('SCARD', @WORKERS@)
  return workers == 0 and 4 or math.max(1, workers - 1)
end

-- Return why a new thread has to wait for others of its group, nil where it need not.
local function must_wait(meta)
  local group = meta.groupid
  if group == -1 then return nil end
  if redis.call('SCARD', slots(group)) >= share() then
    return 'Waiting for other threads of this group: it may run ' .. share() .. ' at once'
  end
  if meta.exclusive and redis.call('SCARD', changes(group)) >= setting('group_changes') then
    return 'Waiting for another thread, which changes the documents of this group'
  end
end

local function enqueue_in_group(id, meta, why)
  meta.waits, meta.message = true, why
  redis.call('RPUSH', (meta.exclusive and waiting_changes or waiting)(meta.groupid), id)
  redis.call('SADD', WAITING, meta.groupid)
end

-- Return the first waiting thread of a list, with its meta. Threads that have ended meanwhile are removed.
local function first_of(list)
  while true do
    local id = redis.call('LINDEX', list, 0)
    if not id then return nil end
    local meta = load(id)
    if meta and meta.waits and meta.status == 'initialised' then return id, meta end
    redis.call('LPOP', list)
  end
end

-- Admit waiting threads of a group into its free slots, oldest first.
local function promote(group)
  if redis.call('SISMEMBER', WAITING, group) == 0 then return end
  while redis.call('SCARD', slots(group)) < share() do
    local list = waiting(group)
    local id, meta = first_of(list)
    if redis.call('SCARD', changes(group)) < setting('group_changes') then
      local other_id, other_meta = first_of(waiting_changes(group))
      if other_id and (not id or other_meta.created < meta.created) then
        list, id, meta = waiting_changes(group), other_id, other_meta
      end
    end
    if not id then break end
    redis.call('LPOP', list)
    meta.waits, meta.message = nil, 'Waiting for a worker'
    save(id, meta)
    admit(id, meta, 'RPUSH')
  end
  if redis.call('EXISTS', waiting(group), waiting_changes(group)) == 0 then redis.call('SREM', WAITING, group) end
end

-- Free the slot that the thread has in its group.
local function leave(id, meta)
  if not meta.token then redis.call('ZREM', QUEUED, id) end
  if meta.groupid == -1 then return end
  redis.call('SREM', slots(meta.groupid), id)
  if meta.exclusive or damaged[id] then redis.call('SREM', changes(meta.groupid), id) end
  promote(meta.groupid)
end

-- Remove the execution of the thread: its lease, and its entry among those that RQ shows.
local function release(id, meta)
  redis.call('ZREM', LEASES, id)
  if meta.token then
    redis.call('ZREM', STARTED, id .. ':' .. meta.token)
  end
end

-- Note from when on the files of the thread may be removed. Without such a note they stay for days.
local function bury(id, at) redis.call('ZADD', TOMBSTONES, at, id) end

-- Return a line of the log. Of one with a traceback, the first line of the text alone is for everybody.
local function line_of(now, level, text, trace)
  if not trace or trace == '' then return now .. level .. text end
  return now .. string.lower(level) .. string.gsub(text, '%s+', ' ') .. '\n' .. trace
end

-- End the thread. A cancelling thread ends `cancelled`, whatever the end was to be. The traceback, if there is one, is that
-- of the exception that the message is about. Other lines for the log come first.
local function conclude(id, meta, status, message, detail, trace, lines)
  local now = clock()
  local detail_trace
  if meta.cancelling then
    if status ~= 'cancelled' and detail == '' then
      detail, detail_trace = 'It was about to end: ' .. message, trace
    end
    status, message, trace = 'cancelled', 'Cancelled by ' .. (meta.cancelled_by or 'somebody'), nil
    meta.cancelling = nil
  end
  meta.message, meta.ended = message, now
  local level = status == 'failed' and 'E' or 'I'
  lines = lines or {}
  if detail ~= '' then lines[#lines + 1] = line_of(now, 'W', detail, detail_trace) end
  lines[#lines + 1] = line_of(now, level, message, trace)
  append(id, meta, lines)
  -- What nobody reads of a thread that has ended is not kept. Of the job's hash, RQ needs `data` and `status`.
  for _, name in ipairs(@ACTIVE_ONLY@) do meta[name] = nil end
  redis.call('HDEL', JOB .. id, unpack(@ACTIVE_ONLY_OF_RQ@))
  change(id, meta, status, now)
  -- The duration of a cancelled run says nothing about the process.
  count(meta, status, now, status ~= 'cancelled' and meta.started > 0 and now - meta.started)
  count_end(meta, status, now)
  release(id, meta)
  leave(id, meta)
  local retention = milliseconds('retention')
  bury(id, now + retention)
  redis.call('PEXPIRE', JOB .. id, retention)
  redis.call('PEXPIRE', head_of(id), retention)
  if meta.log_full then redis.call('PEXPIRE', tail_of(id), retention) end
end

-- End a thread whose record cannot be read: no worker can run it. Return whether it was one.
local function refuse(id, meta)
  if not meta or not damaged[id] or FINAL[meta.status] then return false end
  conclude(id, meta, 'failed', 'Not run: its record could not be read', '')
  return true
end

-- Return how long the lease of a thread is, in milliseconds. One that could run twice, or beside another changer of the
-- same documents, must be known to have stopped soon; the others may ride out an outage of Redis.
local function lease_of(meta)
  local lease = math.max(milliseconds('lost_after'), @SHORTEST_LEASE@)
  if meta.restartable or meta.exclusive then return lease end
  return math.max(lease, milliseconds('outage') / @INTERRUPTED@)
end

-- Renew the lease of the thread's execution. Janitors look whether the score changes, and not at the clock. RQ's list of
-- what runs is kept for its tools, with a minute more than the lease: they count what is in it, and take out what is late.
local function renew_lease(id, meta, now)
  local until_ms = now + (meta.lease or lease_of(meta))
  redis.call('ZADD', LEASES, until_ms, id)
  redis.call('ZADD', STARTED, math.ceil(until_ms / 1000) + 60, id .. ':' .. meta.token)
end

-- Take in the report of an execution, whose last one it may be: JSON in ARGV at this position with its `number`, the
-- `warnings` and `errors` since the one before, and what has changed of `status`, `message`, `xml` and `rates` (of the
-- progress bars, JSON), or '' for none; then the log's lines. One that is sent again, its answer lost, counts once.
-- Returns whether it is new, the lines, and the status that it gives the thread; the caller saves all that.
local function take_in(meta, position, now)
  local report = (ARGV[position] or '') ~= '' and cjson.decode(ARGV[position])
  if not report or report.number <= (meta.report or 0) then return false, {} end
  meta.report, meta.heard, meta.reported = report.number, now, now
  meta.xml, meta.rates = report.xml or meta.xml, report.rates or meta.rates
  meta.warnings, meta.errors = meta.warnings + report.warnings, meta.errors + report.errors
  if not meta.cancelling then meta.message = report.message or meta.message end
  local lines = {}
  for number = position + 1, #ARGV do lines[#lines + 1] = ARGV[number] end
  return true, lines, report.status
end

-- Return whether this execution still owns the thread.
local function owns(meta, token) return meta and not FINAL[meta.status] and meta.token == token end

-- Put the thread back at the head of the queue. It keeps its group's slot.
local function queue_again(id, meta, now)
  release(id, meta)
  meta.token, meta.worker, meta.lease, meta.report, meta.rates = nil, nil, nil, nil, nil
  change(id, meta, 'initialised', now)
  redis.call('LREM', TAKEN, 0, id)
  admit(id, meta, 'LPUSH')
end

local ROLES = @ROLES@  -- their order

-- Return why the thread must not begin: who started it has no right to it any more. The right is kept for threads that
-- were accepted before it ended, where whoever ended it chose so. The keys are those of identity/lua.
local function revoked(meta)
  if not meta.byid then return nil end
  local group, why = string.format('%d', meta.groupid), nil
  if redis.call('HGET', 'ps:usernames', string.lower(meta.username)) ~= string.format('%d', meta.memberid) then
    why = 'Not begun: the member ' .. meta.username .. ' has been removed'
  else
    local role = meta.groupid ~= -1 and redis.call('HGET', 'ps:memberships:' .. meta.byid, group)
    if role and ROLES[role] >= ROLES[meta.role] then return nil end
    if redis.call('SISMEMBER', 'ps:administrators', meta.byid) == 1 then return nil end
    -- Before there was this set, administrators were known by their records alone, which workers cannot read.
    if redis.call('EXISTS', 'ps:administrators') == 0 then return nil end
    why = 'Not begun: who started it has no right to do so any more'
  end
  for _, member in ipairs({meta.byid, string.format('%d', meta.memberid)}) do
    for _, scope in ipairs({group, 'all'}) do
      local kept = redis.call('HGET', 'ps:kept:' .. member, scope)
      if kept and tonumber(kept) >= meta.created then return nil end
    end
  end
  return why
end

-- Return what the execution of a thread needs, as claim.lua has it.
local function permit(id, meta, raw, claims, now)
  return {meta.lease, now, claims, raw, redis.call('HGET', JOB .. id, 'data') or ''}
end

-- Give a thread to this execution and mark it as running. Returns what the execution needs; {0} where it must not run.
local function claim(id, meta, token, worker, now)
  if refuse(id, meta) then return {0, meta.status} end
  if not meta or newer[id] or meta.status ~= 'initialised' or meta.waits or meta.token then return {0} end
  local claims = redis.call('HINCRBY', 'ps:installation', 'claims', 1)
  redis.call('ZREM', QUEUED, id)
  local why = revoked(meta)
  if why then
    conclude(id, meta, 'failed', why, '')
    return {0, meta.status}
  end
  meta.token, meta.worker, meta.lease = token, worker, lease_of(meta)
  meta.started, meta.heard, meta.message = now, now, 'Running'
  append(id, meta, {now .. 'I' .. 'Started by worker ' .. worker})
  local raw = change(id, meta, 'inprogress', now)
  renew_lease(id, meta, now)
  return permit(id, meta, raw, claims, now)
end

-- Return what `claim` returned to an execution whose answer was lost, and which has not begun.
local function claim_again(id, meta, now)
  if not meta.cancelling then return permit(id, meta, raw_of(id), 0, now) end
  conclude(id, meta, 'cancelled', '', '')
  return {0, meta.status}
end

-- Return the id of the thread that this execution has, '' for none. There are as many entries as busy workers.
local function thread_of(token)
  for _, entry in ipairs(redis.call('ZRANGE', STARTED, 0, -1)) do
    if string.sub(entry, -#token - 1) == ':' .. token then return string.sub(entry, 1, -#token - 2) end
  end
  return ''
end
