"""Deployments and work pools: where flows run."""
