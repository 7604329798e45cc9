"""Small nets that find points in patient space from stacks of slices."""
