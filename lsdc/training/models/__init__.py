"""Models of sequences of slices: backbones, recurrent nets, pooling, heads."""
