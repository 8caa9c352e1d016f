-- ARGV: scope ('server' or a group's id), kind (a status, 'active' or 'finished'), offset, count.
-- Returns {total, the cursor of the next page or '', id, meta, id, meta, ...}, newest first.
local key = index(ARGV[1], ARGV[2])
local since = '-inf'
if FINAL[ARGV[2]] or ARGV[2] == 'finished' then since = clock() - milliseconds('retention') end
local result = {redis.call('ZCOUNT', key, since, '+inf'), ''}
local first, last = tonumber(ARGV[3]), ARGV[3] + ARGV[4] - 1
if last < first then return result end
local listed = redis.call('ZRANGE', key, first, last, 'REV', 'WITHSCORES')
if #listed > 0 and last + 1 < result[1] then result[2] = listed[#listed] .. '-' .. listed[#listed - 1] end
for position = 1, #listed, 2 do
  local id = listed[position]
  local meta = list_entry(id)
  if meta then
    result[#result + 1], result[#result + 2] = id, meta
  else
    redis.pcall('ZREM', key, id)  -- It has expired. A Redis that takes no writes is still read.
  end
end
return result
