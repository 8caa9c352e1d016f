"""The connection to Redis and the one runner of Lua scripts."""
