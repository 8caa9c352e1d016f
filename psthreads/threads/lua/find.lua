-- ARGV: least score, greatest score, score and id after which to go on or '' and '', how many to look at, then the
-- listings that hold what is wanted, as pairs of scope and kind.
-- Looks through the shortest of them, newest first. Returns {its scope, how many it holds between the scores, whether
-- there are more, id, score, meta, id, score, meta, ...}.
local since, till, score, after, many = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if FINAL[ARGV[7]] or ARGV[7] == 'finished' then
  -- What has expired may still be listed.
  local kept = clock() - RETENTION
  if since == '-inf' or tonumber(since) < kept then since = kept end
end
local scope, key, total
for position = 6, #ARGV, 2 do
  local other = index(ARGV[position], ARGV[position + 1])
  local holds = redis.call('ZCOUNT', other, since, till)
  if not total or holds < total then scope, key, total = ARGV[position], other, holds end
end
local first
if score == '' then
  first = redis.call('ZCOUNT', key, '(' .. till, '+inf')
elseif redis.call('ZSCORE', key, after) == score then
  first = redis.call('ZREVRANK', key, after) + 1
else
  -- It is gone: behind all that are newer than it was, and those of the same millisecond that stood before it.
  first = redis.call('ZCOUNT', key, '(' .. score, '+inf')
  for _, id in ipairs(redis.call('ZRANGE', key, score, score, 'BYSCORE', 'REV')) do
    if id < after then break end
    first = first + 1
  end
end
local found, listed = {scope, total, 0}, redis.call('ZRANGE', key, first, first + many, 'REV', 'WITHSCORES')
for position = 1, #listed, 2 do
  local id, at = listed[position], listed[position + 1]
  if since ~= '-inf' and tonumber(at) < tonumber(since) then break end
  if position > 2 * many then
    found[3] = 1
    break
  end
  local meta = redis.call('HGET', JOB .. id, 'meta')
  if meta then
    found[#found + 1], found[#found + 2], found[#found + 3] = id, at, meta
  else
    redis.pcall('ZREM', key, id)  -- It has expired. A Redis that takes no writes is still read.
  end
end
return found
