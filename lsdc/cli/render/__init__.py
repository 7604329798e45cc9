"""Tables, logs and displays."""
