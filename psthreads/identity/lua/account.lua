-- ARGV: reference to a member. Returns its account, or nothing.
local id = resolve('member', ARGV[1])
return id and account(id)
