"""Annotated points in patient space."""
