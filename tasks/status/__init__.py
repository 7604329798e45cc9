"""What runs are doing, and how they ended: noted in the home, and read from there."""
