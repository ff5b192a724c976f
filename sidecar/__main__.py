"""``python -m sidecar`` is ``migsafe``."""

import sys

from sidecar.cli import main

if __name__ == "__main__":
    sys.exit(main())
