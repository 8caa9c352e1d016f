-- ARGV: thread id, origin (JSON). Removes a final thread with its log, or one whose record cannot be read.
-- Returns 'deleted', 'active' for a thread that is not final and stays, or '' where there is no such thread.
local id = ARGV[1]
local meta = load(id)
if not meta then return '' end
if not FINAL[meta.status] and not damaged[id] then return 'active' end
depart(by_status(meta), meta.status, id)
depart(by_state(meta), 'finished', id)
if damaged[id] then
  -- Nobody knows where it is listed. Other listings forget it when they are read.
  for _, status in ipairs(STATUSES) do depart(by_status(meta), status, id) end
  depart(by_state(meta), 'active', id)
  release(id, meta)
  leave(id, meta)
end
count_logged(meta, -((meta.log_head_bytes or 0) + (meta.log_tail_bytes or 0)))
redis.call('DEL', JOB .. id, head_of(id), tail_of(id))
redis.call('ZREM', IDS, id)
bury(id, clock())
audit('thread.delete', cjson.decode(ARGV[2]), id, meta)
-- Its followers look, and find that it does not exist.
redis.call('XADD', FEED, 'MAXLEN', '~', FEED_LENGTH, '*', 't', id, 'g', meta.groupid)
return 'deleted'
