"""What reports of any challenge show of a run: its records, its trainings, its settings."""
