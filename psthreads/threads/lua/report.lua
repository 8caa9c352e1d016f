-- ARGV: thread id, token, number of the report, status or '', '1' and message or '0' and '',
--       '1' and XML or '0' and '', warnings and errors since the last report, rates of the bars (JSON) or '' for no
--       change, then the log's lines.
-- Returns 'owned', 'cancelling' or 'disowned'.
local id, token, number = ARGV[1], ARGV[2], tonumber(ARGV[3])
local meta = load(id)
if not owns(meta, token) or meta.status == 'initialised' then return 'disowned' end
if number > (meta.report or 0) then  -- One that is sent again, its answer lost, counts once.
  local now = clock()
  meta.report, meta.heard, meta.reported = number, now, now
  if ARGV[7] == '1' then meta.xml = ARGV[8] end
  meta.warnings = meta.warnings + ARGV[9]
  meta.errors = meta.errors + ARGV[10]
  if not meta.cancelling and ARGV[5] == '1' then meta.message = ARGV[6] end
  local lines = {}
  if ARGV[11] ~= '' then meta.rates = ARGV[11] end
  for position = 12, #ARGV do lines[#lines + 1] = ARGV[position] end
  append(id, meta, lines)
  if not meta.cancelling and ARGV[4] ~= '' and ARGV[4] ~= meta.status then
    change(id, meta, ARGV[4], now)
  else
    save(id, meta)
  end
end
return meta.cancelling and 'cancelling' or 'owned'
