-- ARGV: thread id, meta (JSON), who asked, from where (JSON, for the audit), idempotency key or '', fingerprint of the
--       request, seconds to remember it, then the fields of the job's hash.
-- Returns {'new' | 'replayed' | 'conflict', thread id}.
local id, now = ARGV[1], clock()
if redis.call('EXISTS', JOB .. id) == 1 then return {'new', id} end  -- Sent twice: the answer was lost.
if ARGV[5] ~= '' then
  local known = redis.call('HMGET', ARGV[5], 'fingerprint', 'thread')
  if known[1] then
    if known[1] ~= ARGV[6] then return {'conflict', ''} end
    return {'replayed', known[2]}
  end
end
local meta = cjson.decode(ARGV[2])
meta.created = now
redis.call('HSET', JOB .. id, unpack(ARGV, 8))
if ARGV[5] ~= '' then
  redis.call('HSET', ARGV[5], 'fingerprint', ARGV[6], 'thread', id)
  redis.call('EXPIRE', ARGV[5], ARGV[7])
end
append(id, meta, {now .. 'I' .. 'Accepted from ' .. ARGV[3]})
local why = must_wait(id, meta)
if why then wait_in_line(id, meta, why) end
change(id, meta, 'initialised', now)
count(meta, 'started', now)
audit('thread.start', ARGV[4], id, meta, now)
redis.call('SADD', '@QUEUES@', QUEUE)
if not why then admit(id, meta, 'RPUSH') end
return {'new', id}
