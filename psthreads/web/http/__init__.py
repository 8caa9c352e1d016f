"""Reading requests and writing answers; knows nothing of who asks."""
