"""The flows' steps for the ink challenge: prepare, train, score, submit."""
