"""Prefect tasks: how a stage is run (cache key, retries, result)."""
