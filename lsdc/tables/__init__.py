"""Strict reading of CSV tables, and the findings of table checks."""
