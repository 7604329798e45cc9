"""The flows' steps for the lumbar challenge: prepare, train, score, submit."""
