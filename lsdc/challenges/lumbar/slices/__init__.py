"""Which slices a level is shown on."""
