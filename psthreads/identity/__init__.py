"""Members, groups, roles, tokens, passwords, throttles and OAuth clients."""
