"""Parses the arguments, runs the verb, and turns what goes wrong into one message and an exit code."""

from __future__ import annotations

import _thread
import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType

from include.evergreen.cli import (
    alerts,
    card,
    check,
    erase,
    features,
    history,
    ingest,
    ledger,
    maintenance,
    observations,
    on_call,
    partitions,
    pauses,
    prediction,
    prepare,
    quarantine,
    registry,
    replay_triggers,
    report,
    reproduce,
    rollout,
    run,
    scaffold,
    snapshots,
    status,
    train,
)
from include.evergreen.cli.terminal import quiet
from include.evergreen.foundation.errors import ConfigError, DataError, EvergreenError, TransientError
from include.evergreen.foundation.garbage import collect_seldom
from include.evergreen.foundation.redaction import redact

EXIT_CODES: dict[type[EvergreenError], int] = {ConfigError: 2, DataError: 3, TransientError: 4}
INTERRUPTED = 130  # what shells expect after Ctrl-C: 128 + SIGINT
READER_LEFT = 141  # 128 + SIGPIPE
VERB_GROUPS = (
    check,
    scaffold,
    ingest,
    run,
    train,
    status,
    history,
    observations,
    replay_triggers,
    registry,
    rollout,
    card,
    ledger,
    alerts,
    on_call,
    pauses,
    partitions,
    features,
    prepare,
    quarantine,
    snapshots,
    reproduce,
    prediction,
    report,
    maintenance,
    erase,
)
_EPILOG = """\
exit codes: 0 done; 1 problems were found, or not all of it could be done (check, erase, features, maintain, promote, reproduce, rollback,
rollout, snapshot verify, verify-ledger); 2 a file, setting or argument is wrong; 3 the data is at fault; 4 something did not answer, try
again; 130 Ctrl-C"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. An error of ours becomes a message on stderr; any other is raised, and its traceback printed without secrets.

    :param arguments: without the program's name; None: the command line's
    :returns: the exit code, which ``--help`` explains
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    collect_seldom()
    sys.unraisablehook = _press_ctrl_c_again
    sys.excepthook = _report_bug
    try:
        return _run(given)
    except EvergreenError as error:
        if "--debug" in given:
            _print_redacted(error)
        print(f"evergreen: {error}", file=sys.stderr)
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
    except KeyboardInterrupt:
        print("\nevergreen: stopped by Ctrl-C. What was finished stays; the same command goes on from there.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again at its end
        return READER_LEFT


def _press_ctrl_c_again(unraisable: sys.UnraisableHookArgs) -> None:
    """A Ctrl-C that falls into a destructor is printed by Python and then lost: hand it to the main thread once more."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _thread.interrupt_main()
    else:
        sys.__unraisablehook__(unraisable)


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error that is none of ours ends the process: its traceback quotes what libraries say."""
    _print_redacted(error)


def _print_redacted(error: BaseException) -> None:
    print(redact("".join(traceback.format_exception(error))), end="", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line.

    :returns: every verb and its arguments included; what it parses has the verb's function as ``verb``
    """
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="log what is done, to stderr")
    common.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="also log what libraries say; show the traceback of an error"
    )
    whole = argparse.ArgumentParser(
        prog="evergreen",
        description="Evergreen keeps machine-learning models fresh. See the status and the reasons, and run a cycle without Airflow.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    verbs = whole.add_subparsers(title="verbs", metavar="VERB", required=True)
    for group in VERB_GROUPS:
        group.add_verbs(verbs, common)
    return whole


def _run(given: list[str]) -> int:
    arguments = parser().parse_args(given)
    with quiet(verbose=getattr(arguments, "verbose", False), debug=getattr(arguments, "debug", False)):
        code: int = arguments.verb(arguments)
    sys.stdout.flush()  # here, where a reader that left is still caught
    return code
