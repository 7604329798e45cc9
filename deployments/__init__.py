"""Where flows run: deployments and work pools."""
