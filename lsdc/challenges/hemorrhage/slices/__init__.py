"""Prepared slices: Hounsfield units, windows and squares of pixels, stored once for training."""
