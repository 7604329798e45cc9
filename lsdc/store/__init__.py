"""Storage of stage results and how they are recognised: homes, runs, manifests and locks."""
