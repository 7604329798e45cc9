"""Pictures made from the stages' results."""
