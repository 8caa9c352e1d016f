"""Groups' documents, loading zones and results: what they mean, and two backends, a folder and an object store."""
