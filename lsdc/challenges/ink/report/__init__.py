"""Reports and pictures of the ink challenge."""
