"""The catalog of a group, and what else says which document a reference means."""
