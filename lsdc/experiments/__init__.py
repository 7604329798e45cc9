"""The engine of named experiments; each challenge provides its configuration class."""
