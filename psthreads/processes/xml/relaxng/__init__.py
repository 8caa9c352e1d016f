"""RELAX NG: schemas, and the elements that are to blame for what they refuse."""
