-- The first part of every script of this folder, which names all keys of the directory.
--
-- ps:member:<id>       hash: username, password (Argon2id), admin, stamp (of the sessions), created, nonce;
--                      failures, locked, until: wrong passwords in a row, since when that has locked the account, and
--                      until when;
--                      identity, issuer, subject: the one at an outside provider that it is bound to
-- ps:group:<id>        hash: name, created, nonce
-- ps:usernames         hash: username in lower case -> member id; ps:groupnames the same for groups
-- ps:member-names      sorted set: usernames in lower case, by name; ps:group-names the same for groups
-- ps:administrators    set: ids of the members with the flag
-- ps:locked            sorted set: ids of the members whose account is locked, by until when
-- ps:right:<id>        sorted set of a member: the last networks from which the password was right, by when
-- ps:last-id:<kind>    counter: ids are never given twice
-- ps:memberships:<id>  hash of a member: group id -> role; ps:members-of:<id> of a group: member id -> role
-- ps:kept:<id>         hash of a member: group id, or 'all' -> until when accepted threads may begin without the right
-- ps:groups-by-name:<id>  sorted set of a member: names of its groups; ps:members-by-name:<id> of a group: of members
-- ps:access            counter: the version of who may do what
-- ps:token:<sha256>    hash: member, name or client, reach (the scope), created, expires, used (when last, by the minute)
-- ps:tokens-of:<id>    hash of a member: name of the token -> its SHA-256
-- ps:client:<id>       hash: member, name, secret (SHA-256), reach (the scope), created
-- ps:clients-of:<id>   hash of a member: name of the client -> its id
-- ps:tokens-of-client:<id>  sorted set of a client: SHA-256 of its access tokens, by when they expire
-- ps:ended-session:<key>    string: a session that was signed out, until its cookie expires
-- ps:identities        hash: SHA-256 of an issuer and its subject -> id of the member that it is bound to
-- ps:audit:refused     stream: who was refused; identity/refusals.py bounds it
-- ps:refusals          hash: the current minute, how many refusals it has in all (all), not recorded (left), and of each
--                      network (of:<network>)
-- ps:audit             stream: who did what; see audit/entries.py

local NAMES = {member = 'ps:usernames', group = 'ps:groupnames'}
local LINKS = {member = 'ps:memberships:', group = 'ps:members-of:'}
local OTHER = {member = 'group', group = 'member'}
local SORTED = {member = 'ps:member-names', group = 'ps:group-names'}
local SORTED_LINKS = {member = 'ps:groups-by-name:', group = 'ps:members-by-name:'}
local ADMINISTRATORS, LOCKED = 'ps:administrators', 'ps:locked'
local TOKEN, TOKENS_OF = 'ps:token:', 'ps:tokens-of:'
local CLIENT, CLIENTS_OF, TOKENS_OF_CLIENT = 'ps:client:', 'ps:clients-of:', 'ps:tokens-of-client:'
local IDENTITIES = 'ps:identities'
local RIGHT = 'ps:right:'
local REFUSED, REFUSALS = 'ps:audit:refused', 'ps:refusals'
local ENDED = 'ps:ended-session:'

-- Note that it has changed who may do what: followers of threads are checked again before anything more is sent.
local function changed()
  redis.call('XADD', 'ps:feed', 'MAXLEN', '~', 10000, '*', 'a', redis.call('INCR', 'ps:access'))
end

-- Return whether an account that is locked until this time, or false, is locked now.
local function is_locked(time) return time and tonumber(time) > clock() end

local function record(kind, id) return 'ps:' .. kind .. ':' .. id end

-- Let threads begin that the member has started by now in the group, or in all: the right that ends is kept for them.
local function keep_threads(member, scope)
  redis.call('HSET', 'ps:kept:' .. member, scope, clock())
  redis.call('PEXPIRE', 'ps:kept:' .. member, 366 * 86400000)
end

-- Remove a client and its access tokens, whose number is bounded.
local function drop_client(id)
  for _, digest in ipairs(redis.call('ZRANGE', TOKENS_OF_CLIENT .. id, 0, -1)) do redis.call('DEL', TOKEN .. digest) end
  redis.call('DEL', CLIENT .. id, TOKENS_OF_CLIENT .. id)
end

-- Return the id for a reference: digits are an id, anything else is a name. False for a name that does not exist.
local function resolve(kind, ref)
  if string.find(ref, '^%d+$') then return ref end
  return redis.call('HGET', NAMES[kind], ref)
end

-- Return {id, username, admin} or {id, name}; nil where it does not exist.
local function describe(kind, id)
  if kind == 'group' then
    local name = redis.call('HGET', record(kind, id), 'name')
    return name and {id, name} or nil
  end
  local username, admin = unpack(redis.call('HMGET', record(kind, id), 'username', 'admin'))
  return username and {id, username, admin} or nil
end

-- Return {id, username, admin, created, locked or '', issuer or '', subject or ''}, with times in milliseconds; nil where
-- it does not exist.
local function account(id)
  local fields = redis.call('HMGET', record('member', id), 'username', 'admin', 'created', 'locked', 'issuer', 'subject', 'until')
  local locked = is_locked(fields[7]) and fields[4] or ''
  return fields[1] and {id, fields[1], fields[2], fields[3], locked, fields[5] or '', fields[6] or ''} or nil
end

-- Return up to `size` + 1 names of a sorted set that begin with `prefix` and come after `after`. A set that does not
-- have all of its `number` names was stored before there were sorted sets: it is made from `names`.
local function names_in(sorted, number, names, prefix, after, size)
  if redis.call('ZCARD', sorted) ~= number then
    redis.call('DEL', sorted)
    for _, name in ipairs(names()) do redis.call('ZADD', sorted, 0, name) end
  end
  local least = after ~= '' and '(' .. after or prefix ~= '' and '[' .. prefix or '-'
  local greatest = prefix ~= '' and '(' .. prefix .. '\255' or '+'
  return redis.call('ZRANGE', sorted, least, greatest, 'BYLEX', 'LIMIT', 0, size + 1)
end

-- Return the number of administrators. The set of them is made here where it was not there from the start.
local function administrators()
  if redis.call('EXISTS', ADMINISTRATORS) == 0 then
    for _, id in ipairs(redis.call('HVALS', NAMES.member)) do
      if redis.call('HGET', record('member', id), 'admin') == '1' then redis.call('SADD', ADMINISTRATORS, id) end
    end
  end
  return redis.call('SCARD', ADMINISTRATORS)
end

-- Return why this origin cannot remove an administrator, or the flag: 'self', 'last', or nil. The command line always
-- can, since it can make another administrator at any time.
local function indispensable(id, origin)
  local by = origin.byid
  if by == '' or redis.call('HGET', record('member', id), 'admin') ~= '1' then return nil end
  if by == id then return 'self' end
  return administrators() < 2 and 'last' or nil
end
