"""Pictures of studies and of single slices, from the prepared slices of a run."""
