"""What the operating system does: renames, disk syncs, wake-ups, the death of a parent, thread pools."""
