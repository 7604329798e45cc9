"""Prediction of any DICOM studies with the models of a finished run, without training data."""
