"""Volumes: the layers of fragments, prepared once as arrays that serve tiles."""
