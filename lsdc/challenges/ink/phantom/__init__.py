"""Phantom: a synthetic competition of papyrus fragments whose ink is known."""
