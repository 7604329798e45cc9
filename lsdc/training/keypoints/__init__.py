"""Small nets that find points of patient space in stacks of slices."""
