"""Values and rules of the domain: errors, statuses and threads, access, settings. Standard library only."""
