"""``python -m include.evergreen VERB``: the command line."""

from include.evergreen.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
