"""The training engine; knows no spine."""
