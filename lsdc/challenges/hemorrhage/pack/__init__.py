"""Bundles of runs on head CT."""
