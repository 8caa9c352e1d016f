-- ARGV: member id. Returns {id, name, scope, created} for each client.
local clients = {}
for _, id in ipairs(redis.call('HVALS', CLIENTS_OF .. ARGV[1])) do
  local client = redis.call('HMGET', CLIENT .. id, 'name', 'reach', 'created')
  if client[1] then clients[#clients + 1] = {id, client[1], client[2], client[3]} end
end
return clients
