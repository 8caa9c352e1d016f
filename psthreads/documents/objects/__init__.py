"""The backend of an object store: documents, loading zones and results as objects of a bucket, by S3's protocol."""
