"""``python -m sidecar`` is ``migsafe``."""

import sys

from sidecar import probe

if __name__ == "__main__":
    if probe.quick(sys.argv[1:]):
        sys.exit(probe.main(sys.argv[2:]))
    from sidecar.cli import main

    sys.exit(main())
