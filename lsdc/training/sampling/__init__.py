"""Which samples an epoch of training shows, and in which order."""
