-- ARGV: kind of credential, what it claims (SHA-256 of a token, username, member id), stamp of a session or '',
--       group (id, name in lower case) or ''; and a hash and a field that are wanted with it, or neither.
-- Returns nothing for a claim that does not hold, else (in a pair with that field, if there is one) one line of words that hold no blank:
-- id, username, admin, group id, group name, role, each '-' where there is none; and for a password, which
-- the caller has to verify, the stored hash and the stamp.
local kind, claim = ARGV[1], ARGV[2]
local id = claim
if kind == 'token' then
  id = redis.call('HGET', TOKEN .. claim, 'member')
elseif kind == 'password' then
  id = redis.call('HGET', NAMES.member, claim)
end
if not id then return false end
local member = redis.call('HMGET', record('member', id), 'username', 'admin', 'stamp', 'password')
if not member[1] or (kind == 'session' and member[3] ~= ARGV[3]) then return false end

local group, name, role
if ARGV[4] ~= '' then
  group = resolve('group', ARGV[4])
  name = group and redis.call('HGET', record('group', group), 'name')
  role = name and redis.call('HGET', LINKS.member .. id, group)
end
local line = id .. ' ' .. member[1] .. ' ' .. member[2]
  .. ' ' .. (name and group or '-') .. ' ' .. (name or '-') .. ' ' .. (role or '-')
if kind == 'password' then line = line .. ' ' .. member[4] .. ' ' .. member[3] end
if ARGV[5] then return {line, redis.call('HGET', ARGV[5], ARGV[6])} end
return line
