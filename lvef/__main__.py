"""`python -m lvef`."""

import sys

from lvef.cli import main

if __name__ == "__main__":
    sys.exit(main())
