"""The connection to Redis, the one runner of Lua scripts, and the settings that all processes share."""
