"""The metric, the weighted prior, out-of-fold scores and the submission."""
