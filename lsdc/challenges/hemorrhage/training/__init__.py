"""Training and prediction of a fold, of slices and of their sequence, in child processes."""
