"""`python -m lsdc` is `lsdc`."""

from lsdc.cli.app import main

main()
