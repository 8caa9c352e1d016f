-- ARGV: thread id, token, final status, message, detail for the log or '', result (JSON) or '', traceback or ''; then the
-- last report as take_in has it. Ends the thread. Returns its final status, or '' where the thread is not this
-- execution's.
local id, token = ARGV[1], ARGV[2]
local meta = load(id)
if not meta or meta.token ~= token then return '' end
if not FINAL[meta.status] then
  if ARGV[6] ~= '' then
    meta.has_result = true
    redis.call('HSET', JOB .. id, 'returned', ARGV[6])
  end
  local _, lines = take_in(meta, 8, clock())
  conclude(id, meta, ARGV[3], ARGV[4], ARGV[5], ARGV[7], lines)
end
return meta.status
