"""Writing and unpacking zip files."""
