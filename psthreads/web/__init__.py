"""The web process: Flask, its blueprints, and nothing that decides anything about a thread."""
