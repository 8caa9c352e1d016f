-- Returns {id, when} for each member whose account is locked, in milliseconds since the epoch.
local found = {}
for _, id in ipairs(redis.call('HVALS', NAMES.member)) do
  local locked = redis.call('HGET', record('member', id), 'locked')
  if locked then found[#found + 1] = {id, locked} end
end
return found
