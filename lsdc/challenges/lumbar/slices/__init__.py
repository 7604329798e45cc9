"""Selection of the slices that show a level."""
