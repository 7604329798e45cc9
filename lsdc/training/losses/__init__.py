"""Losses: of graded heads, of yes-or-no labels, and of the worst item of a study."""
