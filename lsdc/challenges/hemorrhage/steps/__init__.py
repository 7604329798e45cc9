"""The flows' steps for the haemorrhage challenge: prepare, train, score, submit."""
