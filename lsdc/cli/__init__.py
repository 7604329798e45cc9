"""The front door, `lsdc`: parses, calls, renders."""
