"""What a process says in other ways than by its context: Python's logging, and the output of all that it starts."""
