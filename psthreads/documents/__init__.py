"""Groups' documents, loading zones and results on disk."""
