"""The training engine: data, loss, loop and checkpoints of any model that learns grades."""
