-- ARGV: 'member' or 'group', reference. Returns its description, or nothing.
local id = resolve(ARGV[1], ARGV[2])
return id and describe(ARGV[1], id)
