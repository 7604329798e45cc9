"""The competition's tables, and tables of predictions in the form of its submission."""
