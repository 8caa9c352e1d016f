"""Parsing, schemas, validation reports and stylesheets."""
