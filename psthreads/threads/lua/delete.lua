-- ARGV: thread id, and for the audit who and from where (JSON). Removes a thread that has ended, with its log.
-- Returns 'deleted', 'active' for one that has not ended and stays, or '' where there is none.
local id = ARGV[1]
local meta = load(id)
if not meta then return '' end
if not FINAL[meta.status] then return 'active' end
depart(by_status(meta), meta.status, id)
depart(by_state(meta), 'finished', id)
redis.call('DEL', JOB .. id, head_of(id), tail_of(id))
audit('thread.delete', cjson.decode(ARGV[2]), id, meta)
-- Who follows it looks, and finds that it is gone.
redis.call('XADD', FEED, 'MAXLEN', '~', FEED_LENGTH, '*', 't', id, 'g', meta.groupid)
return 'deleted'
