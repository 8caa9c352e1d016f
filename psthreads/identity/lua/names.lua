-- ARGV: pairs of 'member' or 'group' and an id. Returns the name of each, '' where it does not exist.
local names = {}
for i = 1, #ARGV, 2 do
  local field = ARGV[i] == 'member' and 'username' or 'name'
  names[#names + 1] = redis.call('HGET', record(ARGV[i], ARGV[i + 1]), field) or ''
end
return names
