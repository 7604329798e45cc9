"""Prediction of any head CT studies with the models of a finished run, without training data."""
