"""The life of a thread: store, engine, search, feed, janitor and the crew of workers."""
