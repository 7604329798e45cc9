"""The cached tasks of the lumbar challenge, one per stage."""
