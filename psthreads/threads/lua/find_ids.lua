-- ARGV: the beginning of an id, or all of it; how many at most. Returns {id, meta, id, meta, ...} of the threads whose ids
-- begin so. A whole id is found also where the thread was accepted by a version that had no list of ids.
local ids, result = {ARGV[1]}, {}
if #ARGV[1] < 32 then
  ids = redis.call('ZRANGE', IDS, '[' .. ARGV[1], '(' .. ARGV[1] .. 'g', 'BYLEX', 'LIMIT', 0, ARGV[2])
end
for _, id in ipairs(ids) do
  local meta = list_entry(id)
  if meta then result[#result + 1], result[#result + 2] = id, meta end
end
return result
