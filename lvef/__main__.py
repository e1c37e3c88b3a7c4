"""`python -m lvef`."""

import sys

from lvef.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
