"""The page of a report: sections made of the numbers."""
