"""The rules about threads that hold after every atomic step, and what judges a server's append-only file by them."""
