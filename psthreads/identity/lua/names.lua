-- ARGV: 'member' or 'group' and an id, and so on. Returns the name of each, '' where there is none such.
local found = {}
for i = 1, #ARGV, 2 do
  local field = ARGV[i] == 'member' and 'username' or 'name'
  found[#found + 1] = redis.call('HGET', record(ARGV[i], ARGV[i + 1]), field) or ''
end
return found
