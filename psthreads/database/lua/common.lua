-- The first part of every script. scripts.py puts it there, and fills in the constants (@NAME@).

-- Return milliseconds since the epoch by Redis's clock, the only one that decides anything.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Return the value in force of a setting that all processes share, in the setting's own unit. Where Redis does not
-- hold it yet, the value of the calling process counts. See shared_settings.py.
local in_force = {}
local function setting(name)
  if not in_force[name] then
    in_force[name] = tonumber(redis.call('HGET', 'ps:settings', name)) or (@SETTINGS@)[name]
  end
  return in_force[name]
end

-- Return a setting that is a duration, in milliseconds.
local function milliseconds(name) return math.floor(1000 * setting(name)) end

-- Return whether this Redis is another one than the caller has seen, or an older copy of it. `seen` is the id of the
-- installation, its ticks and the number of its claims, with colons between, or '' for a caller that has seen nothing.
local function is_behind(seen)
  if seen == '' then return false end
  local id, ticks, claims = unpack(redis.call('HMGET', 'ps:installation', 'id', 'ticks', 'claims'))
  local seen_id, seen_ticks, seen_claims = string.match(seen, '(%x+):(%d+):(%d+)')
  return id ~= seen_id or tonumber(ticks or 0) < tonumber(seen_ticks) or tonumber(claims or 0) < tonumber(seen_claims)
end
