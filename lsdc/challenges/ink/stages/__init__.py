"""The cached stages of the ink challenge."""
