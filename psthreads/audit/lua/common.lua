-- The part of other packages' scripts that writes the audit.

-- Write down who did what, in the same step as the deed. `origin` is a table of who did it, from where and why. The
-- fields are those of entries.py.
local function write_audit(act, origin, subject, id, group, groupname, detail)
  local oldest = math.max(0, clock() - milliseconds('audit_retention'))
  redis.call('XADD', 'ps:audit', 'MINID', '~', oldest, '*', 'act', act,
    'by', origin.by, 'byid', origin.byid, 'address', origin.address, 'subject', subject, 'id', id, 'group', group,
    'groupname', groupname, 'reason', origin.reason, 'detail', detail)
end
