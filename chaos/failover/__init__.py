"""A Redis with replicas and Sentinels, and a storm of failovers over it."""
