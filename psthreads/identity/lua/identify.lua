-- ARGV: kind of credential, what it claims (SHA-256 of a token, username, member id), stamp and key of a session or '',
--       group (id, name in lower case) or ''; and a hash and a field that are wanted with it, or neither.
-- Returns nothing for a claim that does not hold, else (in a pair with that field, if there is one) one line of words that hold no blank:
-- id, username, admin, group id, group name, role, reach, each '-' where there is none; and for a password, which
-- the caller has to verify, the stored hash, '-' where the account is locked, the stamp, and how many were wrong in a row.
local kind, claim = ARGV[1], ARGV[2]
local id, reach = claim, nil
if kind == 'token' then
  local token = redis.call('HMGET', TOKEN .. claim, 'member', 'reach')
  id, reach = token[1], token[2]
elseif kind == 'password' then
  id = redis.call('HGET', NAMES.member, claim)
end
if not id then return false end
local member = redis.call('HMGET', record('member', id), 'username', 'admin', 'stamp', 'password', 'locked', 'failures')
if not member[1] then return false end
if kind == 'session' then
  local stamp, key = string.match(ARGV[3], '^(.*):(.*)$')
  if member[3] ~= stamp or redis.call('EXISTS', ENDED .. key) == 1 then return false end
end

local group, name, role
if ARGV[4] ~= '' then
  group = resolve('group', ARGV[4])
  name = group and redis.call('HGET', record('group', group), 'name')
  role = name and redis.call('HGET', LINKS.member .. id, group)
end
local line = id .. ' ' .. member[1] .. ' ' .. member[2]
  .. ' ' .. (name and group or '-') .. ' ' .. (name or '-') .. ' ' .. (role or '-')
  .. ' ' .. (reach and reach ~= '' and reach or '-')
if kind == 'password' then
  line = line .. ' ' .. (member[5] and '-' or member[4]) .. ' ' .. member[3] .. ' ' .. (member[6] or '0')
end
if ARGV[5] then return {line, redis.call('HGET', ARGV[5], ARGV[6])} end
return line
