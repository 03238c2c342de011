"""`python -m lmjax` is the command `lmjax`."""

import sys

from lmjax.cli.main import main

sys.exit(main())
