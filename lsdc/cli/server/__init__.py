"""Prefect's server and workers, and the commands' requests to them."""
