from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pkgutil
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from include.evergreen import cli
from include.evergreen.cli import main
from include.evergreen.cli.arguments import add_verb
from include.evergreen.foundation.settings import Settings
from tests.unit.cli.conftest import Ask
from tests.unit.flights import run_python
from tests.unit.lifecycle import day, landing

Start = Callable[..., subprocess.Popen[str]]
PRESSES = 20
HEAVY = ("pandas", "numpy", "pydantic", "yaml", "sqlalchemy", "sklearn", "mlflow", "great_expectations", "evidently", "rich")


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    verbs = argparse.ArgumentParser().add_subparsers()
    for module in pkgutil.iter_modules(cli.__path__, f"{cli.__name__}."):  # each that has verbs, whether or not it is enlisted
        if add_verbs := getattr(importlib.import_module(module.name), "add_verbs", None):
            add_verbs(verbs, argparse.ArgumentParser(add_help=False))
    assert len(verbs.choices) > 20
    assert [verb for verb in verbs.choices if f"\n    {verb} " not in shown and f"\n    {verb}\n" not in shown] == []
    assert "exit codes" in shown


def test_help_names_each_verb_that_can_end_with_exit_code_1() -> None:
    """A verb's docstring says so, and a reader of the code beside it."""
    whole = importlib.import_module(f"{cli.__name__}.main").parser()
    told = re.search(r"; 1 [^(;]*\(([^)]*)\)", whole.epilog)
    assert told is not None
    ending_so = {name for name, run in _verbs(whole) if re.search(r":returns: the exit code[^.:]*\b1\b", run.__doc__ or "")}
    assert set(told[1].replace("\n", " ").split(", ")) == ending_so


def _verbs(parser: argparse.ArgumentParser, before: str = "") -> Iterator[tuple[str, Callable[..., int]]]:
    if run := parser.get_default("verb"):
        yield before.strip(), run
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, verb in action.choices.items():
                yield from _verbs(verb, f"{before} {name}")


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import sys
from include.evergreen.cli.main import parser
parser().format_help()
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert run_python(code).strip() == "[]"


def test_an_unknown_model_is_a_config_error_with_a_guess(ask: Ask, cycled: None) -> None:
    for verb in (("run", "flight_dely", "--as-of", "2013-01-20"), ("why", "flight_dely", "2013-01-20"), ("decisions", "flight_dely")):
        answer = ask(*verb)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("evergreen: unknown model 'flight_dely'; did you mean 'flight_delay'?")
        assert "Traceback" not in answer.err


def test_a_bad_date_is_a_config_error(ask: Ask) -> None:
    answer = ask("why", "flight_delay", "2013-2-30")
    assert answer.code == 2
    assert answer.err == "evergreen: the date '2013-2-30' is not a date. Write it as YYYY-MM-DD, such as 2013-02-09.\n"


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31"])
def test_a_date_at_the_end_of_the_calendar_is_a_config_error(date: str, ask: Ask) -> None:
    for arguments in (("why", "flight_delay", date), ("rescore", "flight_delay", "--from", date, "--to", date)):
        answer = ask(*arguments)
        assert answer.code == 2
        assert answer.err == f"evergreen: the date {date} is out of range. Give a date in the years 1900 to 2199.\n"


def test_data_at_fault_has_an_exit_code_of_its_own(ask: Ask, cycled: None) -> None:
    answer = ask("run", "flight_delay", "--as-of", "2013-01-10")
    assert answer.code == 3
    assert "only 8 of the 60 days before it have rows, inputs and labels" in answer.err
    assert "Traceback" not in answer.err


def test_what_does_not_answer_has_an_exit_code_of_its_own(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    answer = ask("prepare")
    assert answer.code == 4
    assert "The MLflow store http://127.0.0.1:1 could not be used" in answer.err


def test_a_home_that_was_never_set_up_says_what_to_run(ask: Ask) -> None:
    home = Settings.from_environment().home
    assert "Is its folder there, and may this process write in it? `make setup` makes it" in ask("status").err
    home.mkdir(exist_ok=True)
    answer = ask("status")
    assert answer.code == 2
    assert "has no tables yet. Run `make setup`" in answer.err


def test_debug_shows_where_an_error_came_from(ask: Ask) -> None:
    for arguments in (("--debug", "why", "nobody", "2013-01-20"), ("why", "nobody", "2013-01-20", "--debug")):
        answer = ask(*arguments)
        assert answer.code == 2
        assert "Traceback" in answer.err and "ConfigError" in answer.err


def test_what_is_done_is_logged_on_demand_alone(ask: Ask, cycled: None) -> None:
    again = ("run", "flight_delay", "--as-of", "2013-01-20")
    assert "INFO" not in ask(*again).err
    assert "INFO flight_delay as of 2013-01-20: already trained" in ask("-v", *again).err
    assert "INFO flight_delay as of 2013-01-20: already trained" in ask(*again, "--verbose").err


def test_a_reader_that_leaves_early_makes_no_noise_and_shells_see_why_it_ended() -> None:
    reader, writer = os.pipe()
    os.close(reader)  # it has left before the first line
    try:
        done = subprocess.run(
            [sys.executable, "-m", "include.evergreen", "check"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 128 + signal.SIGPIPE


def test_ctrl_c_ends_a_run_in_one_line(start: Start, landed: None) -> None:
    process = start("run", "flight_delay", "--as-of", "2013-01-20")
    assert process.stderr is not None
    assert process.stderr.readline() == "ingest: 58 to do ...\n"
    errors = interrupted(process)
    assert process.returncode in {130, -signal.SIGINT}  # to a shell they are the same: 130
    assert "stopped by Ctrl-C. What was finished stays" in errors
    assert "Traceback" not in errors


def interrupted(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C until it has ended (a library that is being imported may swallow the first); what it said then."""
    for _ in range(PRESSES):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=3)[1]
    process.kill()
    return pytest.fail(f"it went on after {PRESSES} times Ctrl-C: {process.communicate()[1]}")


def test_nothing_that_libraries_say_reaches_the_user(start: Start, cycled: None) -> None:
    """Great Expectations draws bars where rows fail; MLflow, scikit-learn and Evidently talk at their import."""
    bad = landing("schedules", day(21))
    bad.write_text(bad.read_text().replace(",EWR,", ",XXX,", 1))
    process = start("run", "flight_delay", "--as-of", "2013-01-21")
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    ours = ("ingest", "snapshot", "train", "gate", "register", "promote", "score", "monitor", "WARNING schedules 2013-01-21: ")
    assert [line for line in errors.splitlines() if not line.startswith(ours)] == []
    assert "119 rows scored" in out


def test_nothing_that_migrations_say_reaches_the_user(start: Start) -> None:
    process = start("prepare")
    assert process.communicate(timeout=300)[1] == ""
    assert process.returncode == 0


def test_help_keeps_the_capitals_of_its_words() -> None:
    verbs = argparse.ArgumentParser().add_subparsers()
    common = argparse.ArgumentParser(add_help=False)
    verb = add_verb(verbs, common, "export", "write the ledger as JSON for MLflow", lambda _: 0)
    assert verb.description == "Write the ledger as JSON for MLflow."
