"""Work on members' input in C: in a child process that is confined, limited, and replaced when it dies."""
