"""Planes in patient space (LPS, mm), and what is cut out of them."""
