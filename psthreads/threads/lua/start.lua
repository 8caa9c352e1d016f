-- ARGV: JSON with `thread` (id), `meta`, `username` of who asked, `origin`, `fingerprint` of the request, and optionally
-- `idempotency_key` (the name of a hash); then the fields of the job's hash and their values, which may be binary.
-- Returns {'new' | 'replayed' | 'conflict', thread id}.
local args, now = cjson.decode(ARGV[1]), clock()
local id, meta, key = args.thread, args.meta, args.idempotency_key
if redis.call('EXISTS', JOB .. id) == 1 then return {'new', id} end  -- Sent twice: the answer was lost.
if key then
  local fingerprint, thread = unpack(redis.call('HMGET', key, 'fingerprint', 'thread'))
  if fingerprint then
    if fingerprint ~= args.fingerprint then return {'conflict', ''} end
    return {'replayed', thread}
  end
  redis.call('HSET', key, 'fingerprint', args.fingerprint, 'thread', id)
  redis.call('PEXPIRE', key, milliseconds('idempotency'))
end
meta.created = now
redis.call('HSET', JOB .. id, unpack(ARGV, 2))
append(id, meta, {now .. 'I' .. 'Accepted from ' .. args.username})
local why = must_wait(id, meta)
if why then wait_in_line(id, meta, why) end
change(id, meta, 'initialised', now)
count(meta, 'started', now)
audit('thread.start', args.origin, id, meta)
redis.call('SADD', @QUEUES@, QUEUE)
if not why then admit(id, meta, 'RPUSH') end
return {'new', id}
