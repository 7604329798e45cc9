"""A synthetic lumbar spine whose answers are known."""
