"""What commands print of the challenge."""
