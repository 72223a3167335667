"""`python -m labkit` is the same as the command `labkit`."""

from __future__ import annotations

from labkit.cli import main

if __name__ == "__main__":
    main()
