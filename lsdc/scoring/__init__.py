"""Scores of runs: what out-of-fold tables and scores of all challenges have in common."""
