-- ARGV: reference to a member. Returns {id, username, admin, when it was made, since when it is locked or ''}, or
-- nothing.
local id = resolve('member', ARGV[1])
return id and account(id)
