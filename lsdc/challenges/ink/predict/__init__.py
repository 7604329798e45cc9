"""Prediction of any fragments with the models of a finished run, without training data."""
