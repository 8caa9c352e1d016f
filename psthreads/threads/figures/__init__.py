"""What a monitor wants to know of all threads, read in one round trip whose cost does not grow with their number."""
