"""Losses: of graded heads, yes-or-no labels, pixels, and of the worst item of a study."""
