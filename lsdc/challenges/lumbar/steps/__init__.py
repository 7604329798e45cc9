"""What the flows do for the lumbar challenge: prepare, train, score, submit."""
