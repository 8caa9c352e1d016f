"""The proof: a search of every order of events over the Lua scripts that ship, and of what would break them."""
