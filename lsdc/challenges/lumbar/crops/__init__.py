"""The squares that are cut out of a level's slices for the model."""
