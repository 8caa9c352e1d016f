-- ARGV: thread id, token, worker's name, what the worker has seen of the installation. Gives the thread to this execution
-- and marks it as running. Returns {how long its lease is in milliseconds, Redis's time in milliseconds, the number of
-- claims so far, meta, the job's data}. The lease is 0 for a thread that must not run: it was cancelled meanwhile, another
-- execution has it, who started it has no right to it any more, or this Redis is behind, where it may have run already. The
-- rest is then left out, but for its final status where this has ended it. The same execution may ask again.
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

local id, token = ARGV[1], ARGV[2]
if is_behind(ARGV[4]) then return {0} end
local meta, now = load(id), clock()

local function answer(claims, raw)
  return {meta.lease, now, claims, raw, redis.call('HGET', JOB .. id, 'data') or ''}
end

if owns(meta, token) and meta.status ~= 'initialised' then  -- Asked again: the answer was lost, and nothing has begun.
  if not meta.cancelling then return answer(0, raw_of(id)) end
  conclude(id, meta, 'cancelled', '', '')
  return {0, meta.status}
end
redis.call('LREM', TAKEN, 0, id)
if refuse(id, meta) then return {0, meta.status} end
if not meta or newer[id] or meta.status ~= 'initialised' or meta.waits or meta.token then return {0} end
local claims = redis.call('HINCRBY', 'ps:installation', 'claims', 1)
redis.call('ZREM', QUEUED, id)
local why = revoked(meta)
if why then
  conclude(id, meta, 'failed', why, '')
  return {0, meta.status}
end
meta.token, meta.worker, meta.lease = token, ARGV[3], lease_of(meta)
meta.started, meta.heard, meta.message = now, now, 'Running'
append(id, meta, {now .. 'I' .. 'Started by worker ' .. meta.worker})
local raw = change(id, meta, 'inprogress', now)
renew_lease(id, meta, now)
return answer(claims, raw)
