"""What commands print of the challenge: explanations, predictions, ensembles, suspects, bundles."""
