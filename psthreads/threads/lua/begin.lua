-- ARGV: thread id, token. Marks the thread as running. Returns Redis's time in milliseconds, or 0 where it must not
-- run.
local ROLES = @ROLES@  -- their order

-- Return why the thread must not begin: who started it has no right to it any more. The right is kept for threads that
-- were accepted before it ended, where whoever ended it chose so. The keys are those of identity/lua.
local function revoked(meta)
  if not meta.byid then return nil end
  local group = string.format('%d', meta.groupid)
  for _, member in ipairs({meta.byid, string.format('%d', meta.memberid)}) do
    for _, scope in ipairs({group, 'all'}) do
      local kept = redis.call('HGET', 'ps:kept:' .. member, scope)
      if kept and tonumber(kept) >= meta.created then return nil end
    end
  end
  if redis.call('HGET', 'ps:usernames', string.lower(meta.username)) ~= string.format('%d', meta.memberid) then
    return 'Not begun: the member ' .. meta.username .. ' has been removed'
  end
  if redis.call('SISMEMBER', 'ps:administrators', meta.byid) == 1 then return nil end
  -- Before there was this set, administrators were known by their records alone, which workers cannot read.
  if redis.call('EXISTS', 'ps:administrators') == 0 then return nil end
  local role = meta.groupid ~= -1 and redis.call('HGET', 'ps:memberships:' .. meta.byid, group)
  if role and ROLES[role] >= ROLES[meta.role] then return nil end
  return 'Not begun: who started it has no right to do so any more'
end

local id, token = ARGV[1], ARGV[2]
local meta = load(id)
if not owns(meta, token) then return 0 end
local now = clock()
if meta.status == 'initialised' then
  local why = revoked(meta)
  if why then
    conclude(id, meta, 'failed', why, '')
    return 0
  end
  meta.started, meta.heard, meta.message = now, now, 'Running'
  append(id, meta, {now .. 'I' .. 'Started by worker ' .. meta.worker})
  change(id, meta, 'inprogress', now)
end
return now
