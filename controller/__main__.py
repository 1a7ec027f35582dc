"""`python -m controller`: the command line."""

from controller.cli.main import main

main()
