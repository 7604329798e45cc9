"""Jobs of child processes that are alike in all challenges that train models."""
