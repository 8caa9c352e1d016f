"""What the author of a process uses, and what runs around the function: registry, parameters, context, reporting."""
