"""Several models' predictions made into one: means, fitted weights, a second level, calibration."""
