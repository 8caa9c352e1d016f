"""XSLT 2 and 3 by Saxon, which the extra `saxon` installs: for stylesheets and for Schematron."""
