"""The engine of named experiments; a challenge brings its configuration class."""
