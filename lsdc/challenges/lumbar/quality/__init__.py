"""Data quality checks on tables, annotated points and DICOM headers."""
