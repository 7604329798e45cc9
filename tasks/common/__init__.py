"""Stages and steps that the runs of every challenge have."""
