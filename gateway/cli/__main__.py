"""`python -m gateway.cli` is the `mudroom` command."""

from gateway.cli import main

main()
