"""Planes in patient space (LPS, mm), and windows and crops in them."""
