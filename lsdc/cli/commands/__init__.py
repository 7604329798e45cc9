"""The commands of `lsdc`, one a module."""
