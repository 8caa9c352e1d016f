-- ARGV: scope ('server' or a group's id), kind (a status, 'active' or 'finished'), offset, count.
-- Returns {total, the cursor of the next page or '', id, meta, id, meta, ...}, newest first.
local keys = keys_of(ARGV[1], ARGV[2])
local since = '-inf'
if FINAL[ARGV[2]] or ARGV[2] == 'finished' then since = clock() - milliseconds('retention') end
local result = {count_between(keys, since, '+inf'), ''}
local first, many = tonumber(ARGV[3]), tonumber(ARGV[4])
if many == 0 then return result end
local entries = entries_from(keys, first, many)
if #entries > 0 and first + many < result[1] then result[2] = entries[#entries][2] .. '-' .. entries[#entries][1] end
for _, entry in ipairs(entries) do
  local id = entry[1]
  local meta = list_entry(id)
  if meta then
    result[#result + 1], result[#result + 2] = id, meta
  else
    redis.pcall('ZREM', entry[3], id)  -- It has expired. A Redis that takes no writes is still read.
  end
end
return result
