"""Prefect tasks: how a step is run (cache key, retries, result)."""
