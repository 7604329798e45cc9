"""Prefect's server, its workers, and what commands ask of them."""
