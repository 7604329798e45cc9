"""The commands of `lsdc`, one module each."""
