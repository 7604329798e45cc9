"""Bundles: finished runs in one folder that predicts a test folder without a network."""
