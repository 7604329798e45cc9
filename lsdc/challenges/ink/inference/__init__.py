"""From tiles that overlap to a map of probabilities on disk."""
