"""The command line interface, `lsdc`: parses arguments, calls the library, renders results."""

from lsdc.cli.rooms import come_first

come_first()  # before any of these packages is imported
