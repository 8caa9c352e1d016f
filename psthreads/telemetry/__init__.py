"""What operators see of the programs: their log lines, which say the same as readable text or as JSON."""
