"""The backend of a folder: documents, loading zones and results on a file system that all programs share."""
