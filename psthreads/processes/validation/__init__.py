"""Validation, as the parent of the child that does it sees it: verdicts, and the report of them."""
