-- Put before every directory script by scripts.py, which fills in the setting (@NAME@). All keys of the directory are
-- named in these scripts.
--
-- ps:member:<id>       hash: username, password (Argon2id), admin, stamp (of the sessions), created, nonce;
--                      failures, locked: wrong passwords in a row, and since when that has locked the account
-- ps:group:<id>        hash: name, created, nonce
-- ps:usernames         hash: username in lower case -> member id; ps:groupnames the same for groups
-- ps:member-names      sorted set: usernames in lower case, by name; ps:group-names the same for groups
-- ps:administrators    set: ids of the members with the flag
-- ps:locked            sorted set: ids of the members whose account is locked, by since when
-- ps:last-id:<kind>    counter: ids are never given twice
-- ps:memberships:<id>  hash of a member: group id -> role; ps:members-of:<id> of a group: member id -> role
-- ps:groups-by-name:<id>  sorted set of a member: names of its groups; ps:members-by-name:<id> of a group: of members
-- ps:access            counter: how often it was changed who may do what
-- ps:token:<sha256>    hash: member, name or client, reach, created, expires; gone by itself when it expires
-- ps:tokens-of:<id>    hash of a member: name of the token -> its SHA-256
-- ps:client:<id>       hash: member, name, secret (SHA-256), reach, created
-- ps:clients-of:<id>   hash of a member: name of the client -> its id
-- ps:tokens-of-client:<id>  sorted set of a client: SHA-256 of its access tokens, by when they expire
-- ps:ended-session:<key>    a session that was signed out, until its cookie would not be taken anyway
-- ps:audit             stream: who did what, see audit.py; shared with the store

local NAMES = {member = 'ps:usernames', group = 'ps:groupnames'}
local LINKS = {member = 'ps:memberships:', group = 'ps:members-of:'}
local OTHER = {member = 'group', group = 'member'}
local SORTED = {member = 'ps:member-names', group = 'ps:group-names'}
local SORTED_LINKS = {member = 'ps:groups-by-name:', group = 'ps:members-by-name:'}
local ADMINISTRATORS, LOCKED = 'ps:administrators', 'ps:locked'
local TOKEN, TOKENS_OF = 'ps:token:', 'ps:tokens-of:'
local CLIENT, CLIENTS_OF, TOKENS_OF_CLIENT = 'ps:client:', 'ps:clients-of:', 'ps:tokens-of-client:'
local ENDED = 'ps:ended-session:'

-- Who may do what has changed: whoever follows threads is asked again before anything more is sent.
local function changed()
  redis.call('XADD', 'ps:feed', 'MAXLEN', '~', 10000, '*', 'a', redis.call('INCR', 'ps:access'))
end

local function record(kind, id) return 'ps:' .. kind .. ':' .. id end

-- Write down what was done, in the same step: `origin` is who did it, from where and why, in JSON.
local function audit(origin, act, subject, id, group, groupname, detail)
  local who, time = cjson.decode(origin), redis.call('TIME')
  redis.call('XADD', 'ps:audit', 'MINID', '~', math.max(0, time[1] * 1000 - @AUDIT_RETENTION@), '*', 'act', act,
    'by', who.by, 'byid', who.byid, 'address', who.address, 'subject', subject, 'id', id, 'group', group,
    'groupname', groupname, 'reason', who.reason, 'detail', detail)
end

-- A client's record and its access tokens, which are bounded in number.
local function drop_client(id)
  for _, digest in ipairs(redis.call('ZRANGE', TOKENS_OF_CLIENT .. id, 0, -1)) do redis.call('DEL', TOKEN .. digest) end
  redis.call('DEL', CLIENT .. id, TOKENS_OF_CLIENT .. id)
end

-- Milliseconds since the epoch, as an integer that Redis stores without an exponent.
local function clock()
  local time = redis.call('TIME')
  return time[1] .. string.format('%03d', math.floor(time[2] / 1000))
end

-- The id that a reference stands for: digits are an id, anything else is a name. False for no such name.
local function resolve(kind, ref)
  if string.find(ref, '^%d+$') then return ref end
  return redis.call('HGET', NAMES[kind], ref)
end

-- {id, username, admin} or {id, name}; nil where there is none.
local function describe(kind, id)
  if kind == 'group' then
    local name = redis.call('HGET', record(kind, id), 'name')
    return name and {id, name} or nil
  end
  local found = redis.call('HMGET', record(kind, id), 'username', 'admin')
  return found[1] and {id, found[1], found[2]} or nil
end

-- {id, username, admin, when it was made, since when it is locked or ''}; nil where there is none.
local function account(id)
  local found = redis.call('HMGET', record('member', id), 'username', 'admin', 'created', 'locked')
  return found[1] and {id, found[1], found[2], found[3], found[4] or ''} or nil
end

-- The names of a sorted set that begin so and come after that one, at most so many and one more. What was stored before
-- there were sorted sets is put into them here, as `names` gives it.
local function names_in(sorted, number, names, prefix, after, size)
  if redis.call('ZCARD', sorted) ~= number then
    redis.call('DEL', sorted)
    for _, name in ipairs(names()) do redis.call('ZADD', sorted, 0, name) end
  end
  local least = after ~= '' and '(' .. after or prefix ~= '' and '[' .. prefix or '-'
  local greatest = prefix ~= '' and '(' .. prefix .. '\255' or '+'
  return redis.call('ZRANGE', sorted, least, greatest, 'BYLEX', 'LIMIT', 0, size + 1)
end

-- How many administrators there are, counting those that were there before there was a set of them.
local function administrators()
  if redis.call('EXISTS', ADMINISTRATORS) == 0 then
    for _, id in ipairs(redis.call('HVALS', NAMES.member)) do
      if redis.call('HGET', record('member', id), 'admin') == '1' then redis.call('SADD', ADMINISTRATORS, id) end
    end
  end
  return redis.call('SCARD', ADMINISTRATORS)
end

-- Why an administrator cannot be made a plain member, or removed, by whoever asks: 'self', 'last', or nil. The command
-- line may: it can make another one at any time.
local function indispensable(id, origin)
  local by = cjson.decode(origin).byid
  if by == '' or redis.call('HGET', record('member', id), 'admin') ~= '1' then return nil end
  if by == id then return 'self' end
  return administrators() < 2 and 'last' or nil
end
