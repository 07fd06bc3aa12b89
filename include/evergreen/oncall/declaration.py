"""Which `oncall.yaml` is in use: the one that stands there, or, while that one is wrong, the last good one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from include.evergreen.config import Catalog
from include.evergreen.config.loader import describe, load_oncall, parse_oncall, shown_path
from include.evergreen.config.oncall import OncallConfig, inner_problems
from include.evergreen.config.wording import did_you_mean, listed
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.settings import Settings
from include.evergreen.state.alerts import KINDS, open_alerts, raise_alert, resolve_alert
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import kept_files

log = logging.getLogger(__name__)
ALERT = "configuration/oncall"
_NAME = "oncall.yaml"
_seen: dict[str, tuple[object, OncallConfig]] = {}  # by database: the file as it was, and what is in use since


def in_use(catalog: Catalog | None = None) -> OncallConfig:
    """Read who is told about alerts. Safe to call every few seconds: a file that has not changed is not read again.

    A sound file is kept in our database. While the file is wrong, or gone, the one that was kept stays in use, and an alert says so.

    :param catalog: of what is declared; None: the usual one
    :returns: what is in use; empty, so that nobody is told, where there never was a sound file
    """
    path = (catalog or Catalog()).oncall_path()
    database = Settings.from_environment().database_url
    stamp = _stamp(path)
    if (known := _seen.get(database)) is not None and known[0] == stamp:
        return known[1]
    kept = _kept()
    try:
        config = _read(path, kept)
        resolve_alert(ALERT)
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        config = _last_good(kept, path)
        _tell(error, path)
    _seen[database] = (stamp, config)
    return config


def check_oncall(catalog: Catalog) -> list[str]:
    """Check the file, and what it says of models, datasets, owners, tags and kinds of alerts.

    :param catalog: of what is declared
    :returns: ``file:line: key: what is wrong`` for each problem; empty when all is sound, or there is no file
    """
    path = catalog.oncall_path()
    if not path.exists():
        return []
    try:
        config = load_oncall(path)
    except ConfigError as error:
        return str(error).splitlines()
    return describe(path, [*inner_problems(config, sorted(KINDS)), *_foreign(config, catalog)])


def _foreign(config: OncallConfig, catalog: Catalog) -> Iterator[tuple[tuple[Any, ...], str]]:
    declared: list[Any] = []
    for names, load in ((catalog.dataset_names(), catalog.dataset), (catalog.model_names(), catalog.model)):
        for name in names:
            try:
                declared.append(load(name))
            except ConfigError:  # its own file says so
                continue
    known = {
        "models": catalog.model_names(),
        "datasets": catalog.dataset_names(),
        "owners": sorted({each.owner for each in declared}),
        "tags": sorted({tag for each in declared for tag in each.tags}),
    }
    for index, route in enumerate(config.routes):
        for key, allowed in known.items():
            for place, name in enumerate(getattr(route, key)):
                if name not in allowed:
                    text = f"unknown {key[:-1]} {name!r}; {did_you_mean(name, allowed)}known: {listed(allowed)}"
                    yield ("routes", index, key, place), text


def _read(path: Path, kept: str | None) -> OncallConfig:
    if not path.exists():
        if kept is None:
            return OncallConfig()
        raise ConfigError(f"{shown_path(path)}: the file is gone. Put it back; one with `routes: []` tells nobody.")
    content = path.read_text(encoding="utf-8-sig")
    config = parse_oncall(content, path)
    if content != kept:
        _keep(content)
    return config


def _stamp(path: Path) -> tuple[Path, tuple[int, int] | None]:
    try:
        stat = path.stat()
    except OSError:
        return path, None
    return path, (stat.st_mtime_ns, stat.st_size)


def _kept() -> str | None:
    with reading() as connection:
        row = connection.execute(kept_files.select().where(kept_files.c.name == _NAME)).first()
    return row.content if row else None


def _keep(content: str) -> None:
    with writing() as connection:
        values = {"content": content, "recorded_at": clock.now()}
        if not connection.execute(kept_files.update().where(kept_files.c.name == _NAME).values(**values)).rowcount:
            connection.execute(kept_files.insert().values(name=_NAME, **values))


def _last_good(kept: str | None, path: Path) -> OncallConfig:
    if kept is not None:
        try:
            return parse_oncall(kept, path)
        except ConfigError:
            log.exception("what was kept of %s is of another release, and cannot be read", path)
    return OncallConfig()


def _tell(error: Exception, path: Path) -> None:
    problems = str(error) if isinstance(error, ConfigError) else f"{shown_path(path)}: cannot be read ({type(error).__name__})"
    digest = hashlib.sha256(problems.encode()).hexdigest()[:16]
    if not any(alert.key == ALERT and alert.evidence.get("digest") == digest for alert in open_alerts("")):
        first, *others = problems.splitlines()
        more = f" (and {len(others)} more)" if others else ""
        message = f"{first}{more} The last good one stays in use. `evergreen check` lists every problem."
        raise_alert(ALERT, severity="critical", message=message, error=problems, evidence={"digest": digest})
