"""The metric, the prior, out-of-fold scores, their intervals, and the submission."""
