"""The metric, the weighted prior, out-of-fold scores, their intervals, and the submission."""
