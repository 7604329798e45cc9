"""Bundles: a folder that predicts a competition's test folder without a network."""
