"""How a fold is trained and asked, in child processes."""
