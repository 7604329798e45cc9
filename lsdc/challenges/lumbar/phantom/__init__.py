"""A synthetic lumbar spine with known ground truth."""
