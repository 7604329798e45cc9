"""The RSNA 2024 lumbar challenge, a module a stage."""
