-- ARGV: thread id, number of the first line (negative: counted from the end), how many lines, how many bytes; at least
-- one line is returned. Lines dropped from the middle are skipped. Returns {} where there is no such thread, else
-- {meta, version of the permissions, number of the first line, how many lines the head holds, are dropped, the tail holds,
-- line, ...}.
local id, first, count, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local raw, meta = raw_of(id), load(id)
if not raw then return {} end
local head, dropped = meta.log_head, meta.log_dropped
local total = head + dropped + meta.log_tail
if first < 0 then first = math.max(1, total + first + 1) end
local result = {raw, redis.call('GET', ACCESS) or '0', first, head, dropped, meta.log_tail}
local before = #result
local function take(key, from, many)
  for _, line in ipairs(redis.call('LRANGE', key, from, from + many - 1)) do
    if bytes <= 0 then return end
    bytes = bytes - #line
    result[#result + 1] = line
  end
end
if first <= head then
  take(head_of(id), first - 1, count)
  if #result - before < count then take(tail_of(id), 0, count - (#result - before)) end
else
  take(tail_of(id), math.max(0, first - head - dropped - 1), count)
end
return result
