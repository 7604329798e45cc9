"""Bundles of runs on ink."""
