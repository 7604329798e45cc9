"""Data quality checks on the index of images and on labels."""
