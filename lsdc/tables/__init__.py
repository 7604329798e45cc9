"""The declaration of tables, strict reading of CSV tables, data checks and their findings."""
