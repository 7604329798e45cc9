"""The numbers of a report, as typed data computed from a run's tables."""
