"""`stratum` and `python -m stratum`."""

from __future__ import annotations

import sys


def main() -> None:
    # Imported here: worker processes import this module again and need nothing of it.
    from stratum.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
