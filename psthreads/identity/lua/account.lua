-- ARGV: reference to a member. Returns {id, username, admin, created, locked or ''}, or nothing.
local id = resolve('member', ARGV[1])
return id and account(id)
