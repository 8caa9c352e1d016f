"""A storm over documents in an object store that fails."""
