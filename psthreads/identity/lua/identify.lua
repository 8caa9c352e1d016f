-- ARGV: kind of credential, what it claims (a token's SHA-256, a username in lower case with a blank and the network that
-- it comes from, a username in lower case that the program itself vouches for, or id:stamp:key of a session),
-- group (id, or name in lower case) or '', what the caller has seen of the installation; and optionally a hash and a
-- field to read in the same step. A Redis that is behind is refused: what it says of threads and members is not so any more.
-- Returns nothing for a claim that does not hold, else one line of words without blanks: id, username, admin, group id,
-- group name, role, scope, each '-' where there is none. For a password, which the caller has to verify, follow the
-- stored hash, the stamp, how many passwords were wrong in a row, '1' where that has locked the account for now, and '1'
-- where a password from this network was right lately. With a field, returns {line, its value}.
if is_behind(ARGV[4]) then return redis.error_reply('BEHIND another or an older Redis') end
local kind, claim = ARGV[1], ARGV[2]
local id, scope, stamp, key, used
if kind == 'token' then
  id, scope, used = unpack(redis.call('HMGET', TOKEN .. claim, 'member', 'reach', 'used'))
elseif kind == 'password' then
  claim, key = string.match(claim, '^(%S*) (.*)$')
  id = redis.call('HGET', NAMES.member, claim)
elseif kind == 'vouched' then
  id = redis.call('HGET', NAMES.member, claim)
else
  id, stamp, key = string.match(claim, '^(%d+):(.*):(.*)$')
end
if not id then return false end
local member = redis.call('HMGET', record('member', id), 'username', 'admin', 'stamp', 'password', 'until', 'failures')
if not member[1] then return false end
if kind == 'session' and (member[3] ~= stamp or redis.call('EXISTS', ENDED .. key) == 1) then return false end

-- A Redis that takes no writes still identifies.
if kind == 'token' and clock() - (tonumber(used) or 0) >= 60000 then redis.pcall('HSET', TOKEN .. claim, 'used', clock()) end

local group, name, role
if ARGV[3] ~= '' then
  group = resolve('group', ARGV[3])
  name = group and redis.call('HGET', record('group', group), 'name')
  role = name and redis.call('HGET', LINKS.member .. id, group)
end
local line = id .. ' ' .. member[1] .. ' ' .. member[2]
  .. ' ' .. (name and group or '-') .. ' ' .. (name or '-') .. ' ' .. (role or '-')
  .. ' ' .. (scope and scope ~= '' and scope or '-')
if kind == 'password' then
  local is_right = redis.call('ZSCORE', RIGHT .. id, key)
  line = line .. ' ' .. member[4] .. ' ' .. member[3] .. ' ' .. (member[6] or '0')
    .. ' ' .. (is_locked(member[5]) and '1' or '0') .. ' ' .. (is_right and '1' or '0')
end
if ARGV[5] then return {line, redis.call('HGET', ARGV[5], ARGV[6])} end
return line
