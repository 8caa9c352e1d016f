"""The services: threads, processes, starts, uploads, files, health and their description."""
