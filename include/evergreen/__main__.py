"""``python -m include.evergreen``: the command `evergreen`, for processes that run this very interpreter."""

from include.evergreen.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
