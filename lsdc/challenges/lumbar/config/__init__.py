"""What an experiment configures, and the experiments by name."""
