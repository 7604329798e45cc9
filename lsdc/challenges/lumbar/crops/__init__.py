"""Crops of a level's slices, the input of the model."""
