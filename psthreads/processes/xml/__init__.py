"""XML: parsing without trust, schemas, validation reports and stylesheets."""
