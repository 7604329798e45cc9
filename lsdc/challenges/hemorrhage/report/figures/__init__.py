"""The numbers of a report, without words about them."""
