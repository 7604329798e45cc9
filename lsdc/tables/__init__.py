"""CSV tables read strictly, and what checks of tables find."""
