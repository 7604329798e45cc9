"""Data quality checks on layers, masks and labels."""
