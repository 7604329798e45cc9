"""Where the levels of a spine lie: annotated, or learnt by keypoint nets."""
