"""Positions of the levels of a spine: annotated, or predicted by keypoint nets."""
