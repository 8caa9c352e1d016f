"""Claims about XSLT 2 and 3."""
