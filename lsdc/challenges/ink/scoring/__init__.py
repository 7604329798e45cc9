"""The metric, and the score of a submission."""
