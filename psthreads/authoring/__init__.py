"""What the author of a process uses, and what runs around its function: registry, parameters, context, reporting."""
