"""The operating system's side: renames, disk syncs, wake-ups, a parent's death, thread pools."""
