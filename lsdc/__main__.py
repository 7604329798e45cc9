"""Run the command line: `python -m lsdc` is the same as `lsdc`."""

from lsdc.cli.app import main

main()
