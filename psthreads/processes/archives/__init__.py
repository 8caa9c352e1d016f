"""Zip files: written in bounded memory, and unpacked without trust."""
