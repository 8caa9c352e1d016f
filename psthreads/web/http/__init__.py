"""Reads requests and writes answers. The credentials are read in `auth`."""
