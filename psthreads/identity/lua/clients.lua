-- ARGV: member id. Returns {id, name, reach, created} for each client.
local found = {}
for _, id in ipairs(redis.call('HVALS', CLIENTS_OF .. ARGV[1])) do
  local client = redis.call('HMGET', CLIENT .. id, 'name', 'reach', 'created')
  if client[1] then found[#found + 1] = {id, client[1], client[2], client[3]} end
end
return found
