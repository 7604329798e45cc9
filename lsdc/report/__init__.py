"""Reports of any challenge: one HTML page of tables, charts and cases that needs no network."""

REPORT = "report.html"  # in a run's folder
CARD = "model-card.md"  # in the same folder
