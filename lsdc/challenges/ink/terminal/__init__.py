"""What commands print of the ink challenge."""
