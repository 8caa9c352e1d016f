-- ARGV: thread id, token, final status, message, detail for the log or '', result (JSON) or '', traceback or ''; the token
-- of another execution, which is to have the next thread of the queue, or '', its worker's name, and what the worker has
-- seen of the installation; then the last report as take_in has it. Ends the thread. Returns {its final status}, {''} where
-- the thread is not this execution's; and where the other execution has a thread, its id and what claim.lua returns.
local id, token, other = ARGV[1], ARGV[2], ARGV[8]
local meta, now = load(id), clock()
if not meta or meta.token ~= token then return {''} end
local is_over = FINAL[meta.status]
if not is_over then
  if ARGV[6] ~= '' then
    meta.has_result = true
    redis.call('HSET', JOB .. id, 'returned', ARGV[6])
  end
  local _, lines = take_in(meta, 11, now)
  conclude(id, meta, ARGV[3], ARGV[4], ARGV[5], ARGV[7], lines)
end
if other == '' then return {meta.status} end
-- Who has given this execution up has looked for the other one, too: it must not begin after that.
if is_over then
  local next_id = thread_of(other)
  local next_meta = load(next_id)
  if not owns(next_meta, other) then return {meta.status} end
  return {meta.status, next_id, unpack(claim_again(next_id, next_meta, now))}
end
local next_id = redis.call('LINDEX', QUEUE, 0)
if is_behind(ARGV[10]) or not next_id or not string.find(next_id, '^[%w-]+$') then return {meta.status} end
redis.call('LPOP', QUEUE)
return {meta.status, next_id, unpack(claim(next_id, load(next_id), other, ARGV[9], now))}
