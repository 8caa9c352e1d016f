-- ARGV: thread id, origin (JSON). Removes a final thread with its log.
-- Returns 'deleted', 'active' for a thread that is not final and stays, or '' where there is no such thread.
local id = ARGV[1]
local meta = load(id)
if not meta then return '' end
if not FINAL[meta.status] then return 'active' end
depart(by_status(meta), meta.status, id)
depart(by_state(meta), 'finished', id)
redis.call('DEL', JOB .. id, head_of(id), tail_of(id))
bury(id, clock())
audit('thread.delete', cjson.decode(ARGV[2]), id, meta)
-- Its followers look, and find that it does not exist.
redis.call('XADD', FEED, 'MAXLEN', '~', FEED_LENGTH, '*', 't', id, 'g', meta.groupid)
return 'deleted'
