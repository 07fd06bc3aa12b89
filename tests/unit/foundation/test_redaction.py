"""Nothing that people read has a password: neither our errors, nor what we log or print of what libraries say."""

from __future__ import annotations

import logging
import pickle
import sys

import pytest

from include.evergreen.cli.main import main
from include.evergreen.cli.terminal import quiet
from include.evergreen.config import Catalog
from include.evergreen.foundation import errors
from include.evergreen.foundation.errors import EvergreenError
from include.evergreen.foundation.redaction import redact
from include.evergreen.state import ledger, mlflow_store, storage
from include.evergreen.state.database import migrate, reading

SECRET = "quinces/and:medlars@home"
QUOTED = "quinces%2Fand%3Amedlars%40home"
PLAIN = "hunter22"


def all_errors(kind: type[EvergreenError] = EvergreenError) -> list[type[EvergreenError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_of_ours_is_redacted_by_being_one(kind: type[EvergreenError]) -> None:
    error = kind(f"postgresql://evergreen:{PLAIN}@db/evergreen did not answer")
    assert str(error) == "postgresql://evergreen:***@db/evergreen did not answer"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"at http://ada:{PLAIN}@mlflow:5000/api", "at http://ada:***@mlflow:5000/api"),
        (f"'sqlite+x://:{PLAIN}@/db', and 'redis://:{PLAIN}@r'", "'sqlite+x://:***@/db', and 'redis://:***@r'"),
        (f"https://b/x.csv?X-Amz-Signature={PLAIN}&X-Amz-Date=1", "https://b/x.csv?X-Amz-Signature=***&X-Amz-Date=1"),
        (f"host=db password={PLAIN} dbname=x", "host=db password=*** dbname=x"),
        (f"?sv=1&sig={PLAIN}", "?sv=1&sig=***"),
        ("http://host:8080/a?mail=a@b is no secret", "http://host:8080/a?mail=a@b is no secret"),
        ("the token is wrong; keys: a, b; passwordless", "the token is wrong; keys: a, b; passwordless"),
    ],
)
def test_urls_and_parameters_lose_their_secrets_and_nothing_else(text: str, redacted: str) -> None:
    assert redact(text) == redacted


def test_secrets_are_redacted_longest_first_and_words_are_not() -> None:
    assert redact("told abcdef and abcd, and an a", "abcd", "abcdef", "a", "", None) == "told *** and ***, and an a"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MLFLOW_TRACKING_URI", f"http://ada:{QUOTED}@mlflow", QUOTED),
        ("MLFLOW_TRACKING_URI", f"http://ada:{QUOTED}@mlflow", SECRET),
        ("EVERGREEN_DATABASE_URL", f"postgresql//ada:{SECRET}@db/x", SECRET),
        ("MLFLOW_TRACKING_PASSWORD", SECRET, SECRET),
        ("AWS_SECRET_ACCESS_KEY", SECRET, SECRET),
        ("SOME_API_TOKEN", SECRET, SECRET),
        ("AIRFLOW_CONN_SHOP", f"postgres://ada:{QUOTED}@db/x", SECRET),
    ],
)
def test_what_the_environment_keeps_secret_is_redacted_wherever_it_stands(monkeypatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    assert str(errors.TransientError(f"the server said: {told} is wrong")) == "the server said: *** is wrong"


CLOSED = "127.0.0.1:9"
PLACES = {
    "a database that does not answer": ("EVERGREEN_DATABASE_URL", "postgresql+psycopg2://ada:{}@" + CLOSED + "/x", "database"),
    "a database of no known kind": ("EVERGREEN_DATABASE_URL", "nosuch://ada:{}@db/x", "database"),
    "a database URL that is none": ("EVERGREEN_DATABASE_URL", "ada:{}@db/x", "database"),
    "an MLflow that does not answer": ("MLFLOW_TRACKING_URI", "http://ada:{}@" + CLOSED, "mlflow"),
    "an MLflow of no known kind": ("MLFLOW_TRACKING_URI", "nosuch://ada:{}@mlflow", "mlflow"),
    "a storage of no known kind": ("EVERGREEN_STORAGE", "nosuch://ada:{}@store/x", "storage"),
    "anchors at a place of no known kind": ("EVERGREEN_LEDGER_ANCHORS", "nosuch://ada:{}@store/x", "anchors"),
}


def use(what: str) -> None:
    if what == "database":
        with reading():
            pass
    elif what == "mlflow":
        mlflow_store.prepare_store()
    elif what == "storage":
        storage.read_bytes("x")
    else:
        migrate()
        ledger.anchors()


@pytest.mark.parametrize("secret", [QUOTED, PLAIN])
@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_cannot_be_used_is_named_without_its_password(home, monkeypatch, place: str, secret: str) -> None:
    variable, url, what = PLACES[place]
    monkeypatch.setenv(variable, url.format(secret))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(EvergreenError) as raised:
        use(what)
    assert secret not in str(raised.value) and SECRET not in str(raised.value)
    assert url.split("{}")[0] in str(raised.value), "it still says which place"


@pytest.mark.parametrize("options", [[], ["--debug"]])
def test_the_command_shows_no_password_even_with_every_traceback(home, monkeypatch, capsys, options: list[str]) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", f"nosuch://ada:{PLAIN}@db/x")
    assert main(["status", *options]) == 2
    shown = capsys.readouterr().err
    assert PLAIN not in shown and "nosuch://ada:***@db/x" in shown
    assert ("Traceback" in shown) == bool(options)


def test_an_error_that_is_none_of_ours_shows_no_password(home, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(Catalog, "model_names", lambda _: (_ for _ in ()).throw(RuntimeError(f"http://ada:{PLAIN}@x is no place")))
    with pytest.raises(RuntimeError) as raised:
        main(["status"])
    sys.excepthook(raised.type, raised.value, raised.tb)
    shown = capsys.readouterr().err
    assert "RuntimeError: http://ada:***@x is no place" in shown and PLAIN not in shown


def test_what_libraries_log_shows_no_password(capsys) -> None:
    with quiet(verbose=False, debug=True):
        logging.getLogger("urllib3").warning("retrying %s", f"http://ada:{PLAIN}@x")
    assert capsys.readouterr().err == "WARNING urllib3: retrying http://ada:***@x\n"
