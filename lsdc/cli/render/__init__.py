"""Render tables, logs and live displays."""
