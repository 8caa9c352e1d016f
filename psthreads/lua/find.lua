-- ARGV: least score, greatest score, score and id after which to go on or '' and '', how many to look at, then the
-- listings that hold what is wanted, as pairs of scope and kind.
-- Looks through the shortest of them, newest first. Returns {its scope, how many it holds between the scores, whether
-- there are more, id, score, meta, id, score, meta, ...}.
local since, till, score, after, many = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local scope, key, total
for position = 6, #ARGV, 2 do
  local other = index(ARGV[position], ARGV[position + 1])
  local holds = redis.call('ZCOUNT', other, since, till)
  if not total or holds < total then scope, key, total = ARGV[position], other, holds end
end
local first
if score == '' then
  first = redis.call('ZCOUNT', key, '(' .. till, '+inf')
else
  -- Where the last one stands by now; where it is gone, behind all that are newer than it was.
  local rank = redis.call('ZREVRANK', key, after)
  if rank and redis.call('ZSCORE', key, after) == score then first = rank + 1
  else first = redis.call('ZCOUNT', key, '(' .. score, '+inf') end
end
local found, listed = {scope, total, 0}, redis.call('ZRANGE', key, first, first + many, 'REV', 'WITHSCORES')
for position = 1, #listed, 2 do
  local id, at = listed[position], listed[position + 1]
  if tonumber(at) < tonumber(since) then break end
  if position > 2 * many then
    found[3] = 1
    break
  end
  -- Of those with the score of one that is gone, the ones before it were shown.
  if at ~= score or id < after then
    local meta = redis.call('HGET', JOB .. id, 'meta')
    if meta then
      found[#found + 1], found[#found + 2], found[#found + 3] = id, at, meta
    else
      redis.call('ZREM', key, id)  -- It has expired, under an older setting for the retention.
    end
  end
end
return found
