"""The competition's tables, and the rows that it asks for."""
