"""Reports of runs: an HTML page, a model card, and the picture of a study."""
