"""Values and rules: errors, threads, access, settings. Uses the standard library only."""
