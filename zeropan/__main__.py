"""`python -m zeropan` is the command."""

from zeropan.command.main import main

main()
