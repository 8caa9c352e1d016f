-- Put before every directory script by directory.py. All keys of the directory are named in these scripts.
--
-- ps:member:<id>       hash: username, password (Argon2id), admin, stamp (of the sessions), created, nonce;
--                      failures, locked: wrong passwords in a row, and since when that has locked the account
-- ps:group:<id>        hash: name, created, nonce
-- ps:usernames         hash: username in lower case -> member id; ps:groupnames the same for groups
-- ps:last-id:<kind>    counter: ids are never given twice
-- ps:memberships:<id>  hash of a member: group id -> role; ps:members-of:<id> of a group: member id -> role
-- ps:access            counter: how often it was changed who may do what
-- ps:token:<sha256>    hash: member, name or client, reach, created, expires; gone by itself when it expires
-- ps:tokens-of:<id>    hash of a member: name of the token -> its SHA-256
-- ps:client:<id>       hash: member, name, secret (SHA-256), reach, created
-- ps:clients-of:<id>   hash of a member: name of the client -> its id
-- ps:tokens-of-client:<id>  sorted set of a client: SHA-256 of its access tokens, by when they expire
-- ps:ended-session:<key>    a session that was signed out, until its cookie would not be taken anyway

local NAMES = {member = 'ps:usernames', group = 'ps:groupnames'}
local LINKS = {member = 'ps:memberships:', group = 'ps:members-of:'}
local OTHER = {member = 'group', group = 'member'}
local TOKEN, TOKENS_OF = 'ps:token:', 'ps:tokens-of:'
local CLIENT, CLIENTS_OF, TOKENS_OF_CLIENT = 'ps:client:', 'ps:clients-of:', 'ps:tokens-of-client:'
local ENDED = 'ps:ended-session:'

-- Who may do what has changed: whoever follows threads is asked again before anything more is sent.
local function changed()
  redis.call('XADD', 'ps:feed', 'MAXLEN', '~', 10000, '*', 'a', redis.call('INCR', 'ps:access'))
end

local function record(kind, id) return 'ps:' .. kind .. ':' .. id end

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
