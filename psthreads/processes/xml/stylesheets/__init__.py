"""Transforms documents by a stylesheet of the group: by libxslt, or by Saxon for XSLT 2 and 3."""
