"""What clients asked and were answered, and whether all of it fits one order of events: a history for each thread."""
