"""Pictures and pages made from what the stages left behind."""
