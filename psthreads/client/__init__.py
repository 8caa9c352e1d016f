"""The Python client and the command line. Speaks HTTP only."""
