"""The cached tasks of the lumbar challenge, one a stage."""
