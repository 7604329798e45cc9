"""The declaration of tables, strict reading of CSV tables, and the findings of table checks."""
