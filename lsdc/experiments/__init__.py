"""Experiment configurations by name."""
