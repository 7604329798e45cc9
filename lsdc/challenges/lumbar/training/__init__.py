"""Training and prediction of a fold, in child processes."""
