-- ARGV: thread id, token; then the report as take_in has it. Returns 'owned', 'cancelling' or 'disowned'.
local id = ARGV[1]
local meta = load(id)
if not owns(meta, ARGV[2]) or meta.status == 'initialised' then return 'disowned' end
local now = clock()
local is_new, lines, status = take_in(meta, 3, now)
if is_new then
  append(id, meta, lines)
  if status and status ~= meta.status and not meta.cancelling then
    change(id, meta, status, now)
  else
    save(id, meta)
  end
end
return meta.cancelling and 'cancelling' or 'owned'
