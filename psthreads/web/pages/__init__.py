"""The dashboard in HTML."""
