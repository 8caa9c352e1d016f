-- ARGV: JSON with `thread` (id), `meta`, `username` of who starts it, `origin`, `fingerprint` of the request, and
-- optionally `idempotency_key` (the name of a hash) and `limits`; then the fields of the job's hash and their values,
-- which may be binary. Returns {id, time, message} of the new thread; {id, record} of one that an earlier start with the
-- same key has stored, whose record may be gone; '' where the key stands for another request; and what `count_start`
-- does for a refusal.
local args, now = cjson.decode(ARGV[1]), clock()
local id, meta, key = args.thread, with_defaults(args.meta), args.idempotency_key
if redis.call('EXISTS', JOB .. id) == 1 then return {id, raw_of(id)} end  -- Sent twice: the answer was lost.
if key then
  local fingerprint, thread = unpack(redis.call('HMGET', key, 'fingerprint', 'thread'))
  if fingerprint then
    return fingerprint == args.fingerprint and {thread, raw_of(thread)} or ''
  end
end
local refused = count_start(args.limits or {}, now)
if refused then return refused end
if key then
  redis.call('HSET', key, 'fingerprint', args.fingerprint, 'thread', id)
  redis.call('PEXPIRE', key, milliseconds('idempotency'))
end
meta.created = now
append(id, meta, {now .. 'I' .. 'Accepted from ' .. args.username})
local why = must_wait(meta)
if why then enqueue_in_group(id, meta, why) end
change(id, meta, 'initialised', now, {unpack(ARGV, 2)})
redis.call('ZADD', IDS, 0, id)
count(meta, 'started', now)
audit('thread.start', args.origin, id, meta)
redis.call('SADD', @QUEUES@, QUEUE)
if not why then admit(id, meta, 'RPUSH') end
return {id, now, meta.message}
