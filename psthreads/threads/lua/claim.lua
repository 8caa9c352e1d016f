-- ARGV: thread id, token, worker's name, what the worker has seen of the installation. Gives the thread to this execution
-- and marks it as running. Returns {how long its lease is in milliseconds, Redis's time in milliseconds, the number of
-- claims so far, meta, the job's data}. The lease is 0 for a thread that must not run: it was cancelled meanwhile, another
-- execution has it, who started it has no right to it any more, or this Redis is behind, where it may have run already. The
-- rest is then left out, but for its final status where this has ended it. The same execution may ask again.
local id, token = ARGV[1], ARGV[2]
if is_behind(ARGV[4]) then return {0} end
local meta, now = load(id), clock()
if owns(meta, token) and meta.status ~= 'initialised' then  -- Asked again: the answer was lost, and nothing has begun.
  return claim_again(id, meta, now)
end
redis.call('LREM', TAKEN, 0, id)
return claim(id, meta, token, ARGV[3], now)
