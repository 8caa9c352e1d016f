"""Who did what: writing, searching and exporting the audit."""
