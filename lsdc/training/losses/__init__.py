"""Losses: of graded heads, and of the worst item of a study."""
