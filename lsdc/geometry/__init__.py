"""Planes in patient space (LPS, mm); knows no spine."""
