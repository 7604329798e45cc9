"""The configuration of experiments, and the named experiments."""
