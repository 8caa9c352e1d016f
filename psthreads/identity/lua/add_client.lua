-- ARGV: JSON with `member` (id), `name`, `client` (the new id), `secret` (SHA-256), `scope` as it is stored and
-- `scope_words`, and `origin`.
-- Returns 'done', 'member' where there is no such member, 'name' where another client of the member has the name, or
-- 'id' where another client has the id.
local args = cjson.decode(ARGV[1])
local member, name, id = args.member, args.name, args.client
local username = redis.call('HGET', record('member', member), 'username')
if not username then return 'member' end
local known = redis.call('HMGET', CLIENT .. id, 'member', 'name', 'secret')
if known[1] and not (known[1] == member and known[2] == name and known[3] == args.secret) then return 'id' end
if redis.call('HSETNX', CLIENTS_OF .. member, name, id) == 0 then
  -- The same call, sent again because its answer was lost, finds its own work.
  return redis.call('HGET', CLIENTS_OF .. member, name) == id and 'done' or 'name'
end
redis.call('HSET', CLIENT .. id, 'member', member, 'name', name, 'secret', args.secret, 'reach', args.scope,
  'created', clock())
write_audit('client.add', args.origin, name, member, '', '', 'of ' .. username .. ': ' .. args.scope_words)
return 'done'
