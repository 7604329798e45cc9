"""The competition's tables, and the row ids of its submission."""
