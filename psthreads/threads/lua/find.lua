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
local keys, total
for _, listing in ipairs(args.listings) do
  local others = keys_of(listing[1], listing[2])
  local length = count_between(others, since, till)
  if not total or length < total then keys, total = others, length end
end
local positions = {}
for number, key in ipairs(keys) do
  positions[number] = redis.call('ZCOUNT', key, '(' .. (after and after[1] or till), '+inf')
  if after then
    -- Go on after the newer ones, and after those of its millisecond that are before it. It may have left the listing.
    for _, id in ipairs(redis.call('ZRANGE', key, after[1], after[1], 'BYSCORE', 'REV')) do
      if id < after[2] then break end
      positions[number] = positions[number] + 1
    end
  end
end
local result = {total, 0}
for count, entry in ipairs(merged(keys, positions, 0, many + 1)) do
  local id, at = entry[1], entry[2]
  if since ~= '-inf' and tonumber(at) < tonumber(since) then break end
  if count > many then
    result[2] = 1
    break
  end
  local meta = list_entry(id)
  if meta then
    local last = #result
    result[last + 1], result[last + 2], result[last + 3] = id, at, meta
  else
    redis.pcall('ZREM', entry[3], id)  -- It has expired. A Redis that takes no writes is still read.
  end
end
return result
