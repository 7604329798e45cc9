"""What tables, points and headers say about the quality of the data."""
