"""The front door, `lsdc`: parses, calls, renders."""

from lsdc.cli.rooms import come_first

come_first()  # before anything of them is imported
