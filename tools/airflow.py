"""Airflow's command, as a process of the embedded Airflow: it starts with less of Python's looking for garbage.

python -m tools.airflow scheduler --skip-serve-logs
"""

from __future__ import annotations

import sys

from include.evergreen.foundation.garbage import collect_seldom


def main() -> None:
    collect_seldom()
    from airflow.__main__ import main as airflow

    sys.argv[0] = "airflow"  # by which its processes, and their connections to databases, are named
    airflow()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
