"""The training engine for models that predict grades: data, loss, loop and checkpoints."""
