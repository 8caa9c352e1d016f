-- ARGV: member id, name, id of the new client, SHA-256 of its secret, reach, origin, the reach in words.
-- Returns 'done', 'member' where there is none such, 'name' where another client of the member has it.
local member, name, id = ARGV[1], ARGV[2], ARGV[3]
local username = redis.call('HGET', record('member', member), 'username')
if not username then return 'member' end
if redis.call('HSETNX', CLIENTS_OF .. member, name, id) == 0 then
  -- The same call, sent again because its answer was lost, finds its own work.
  return redis.call('HGET', CLIENTS_OF .. member, name) == id and 'done' or 'name'
end
redis.call('HSET', CLIENT .. id, 'member', member, 'name', name, 'secret', ARGV[4], 'reach', ARGV[5], 'created', clock())
audit(ARGV[6], 'client.add', name, member, '', '', 'of ' .. username .. ': ' .. ARGV[7])
return 'done'
