"""The horse: the process that a worker forks, and that runs threads one after the other."""
