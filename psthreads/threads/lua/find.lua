-- ARGV: JSON with `since` and `until` (scores, or '-inf' and '+inf'), `many` (how many to read), `listings` that hold
-- all that can match, as pairs of scope and kind, and optionally `after`: the score and id after which to go on. Reads
-- the shortest listing, newest first. Returns {the number of its threads between the scores, 1 where there are more or
-- 0, id, score, meta, id, score, meta, ...}.
local args = cjson.decode(ARGV[1])
local since, till, after, many = args.since, args['until'], args.after, args.many
local kind = args.listings[1][2]
if FINAL[kind] or kind == 'finished' then
  -- What has expired may still be listed.
  local oldest = clock() - milliseconds('retention')
  if since == '-inf' or tonumber(since) < oldest then since = oldest end
end
local key, total
for _, listing in ipairs(args.listings) do
  local other = index(listing[1], listing[2])
  local length = redis.call('ZCOUNT', other, since, till)
  if not total or length < total then key, total = other, length end
end
local first
if not after then
  first = redis.call('ZCOUNT', key, '(' .. till, '+inf')
elseif redis.call('ZSCORE', key, after[2]) == after[1] then
  first = redis.call('ZREVRANK', key, after[2]) + 1
else
  -- It has left the listing: go on after the newer ones, and those of its millisecond that were before it.
  first = redis.call('ZCOUNT', key, '(' .. after[1], '+inf')
  for _, id in ipairs(redis.call('ZRANGE', key, after[1], after[1], 'BYSCORE', 'REV')) do
    if id < after[2] then break end
    first = first + 1
  end
end
local result, listed = {total, 0}, redis.call('ZRANGE', key, first, first + many, 'REV', 'WITHSCORES')
for position = 1, #listed, 2 do
  local id, at = listed[position], listed[position + 1]
  if since ~= '-inf' and tonumber(at) < tonumber(since) then break end
  if position > 2 * many then
    result[2] = 1
    break
  end
  local meta = list_entry(id)
  if meta then
    local last = #result
    result[last + 1], result[last + 2], result[last + 3] = id, at, meta
  else
    redis.pcall('ZREM', key, id)  -- It has expired. A Redis that takes no writes is still read.
  end
end
return result
