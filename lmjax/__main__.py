"""`python -m lmjax` is the command `lmjax`."""

from lmjax.cli.main import run

run()
