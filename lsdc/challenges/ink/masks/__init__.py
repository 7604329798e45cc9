"""From maps of probabilities to masks of ink: rules, how they are fitted, and what they score."""
