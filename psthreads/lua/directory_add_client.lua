-- ARGV: member id, name, id of the new client, SHA-256 of its secret, reach.
-- Returns 'done', 'member' where there is none such, 'name' where another client of the member has it.
local member, name, id = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', record('member', member)) == 0 then return 'member' end
if redis.call('HSETNX', CLIENTS_OF .. member, name, id) == 0 then
  -- The same call, sent again because its answer was lost, finds its own work.
  return redis.call('HGET', CLIENTS_OF .. member, name) == id and 'done' or 'name'
end
redis.call('HSET', CLIENT .. id, 'member', member, 'name', name, 'secret', ARGV[4], 'reach', ARGV[5], 'created', clock())
return 'done'
