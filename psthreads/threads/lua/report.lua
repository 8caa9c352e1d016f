-- ARGV: JSON with `thread` (id), `token`, `number` of the report, `warnings` and `errors` since the last one, and what
-- has changed of `status`, `message`, `xml` and `rates` (of the progress bars, JSON); then the log's lines.
-- Returns 'owned', 'cancelling' or 'disowned'.
local args = cjson.decode(ARGV[1])
local id = args.thread
local meta = load(id)
if not owns(meta, args.token) or meta.status == 'initialised' then return 'disowned' end
if args.number > (meta.report or 0) then  -- One that is sent again, its answer lost, counts once.
  local now = clock()
  meta.report, meta.heard, meta.reported = args.number, now, now
  meta.xml, meta.rates = args.xml or meta.xml, args.rates or meta.rates
  meta.warnings, meta.errors = meta.warnings + args.warnings, meta.errors + args.errors
  if not meta.cancelling then meta.message = args.message or meta.message end
  local lines = {}
  for position = 2, #ARGV do lines[position - 1] = ARGV[position] end
  append(id, meta, lines)
  if not meta.cancelling and args.status and args.status ~= meta.status then
    change(id, meta, args.status, now)
  else
    save(id, meta)
  end
end
return meta.cancelling and 'cancelling' or 'owned'
