"""What was named `words` is named `message`, and a check's `on_fail: stop` is `error`

The column of `alerts`, and the same key of the JSON in `stage_records`, `decisions`, `firings` and `validations`. The ledger stays as it
is: its hashes cover the text of each entry, so entries of before say `words`. Those of the kind `damage` go on saying it (and `mend`),
since a finding is told from a known one by its text.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

AT_ONCE = 500  # rows that are read and written at a time
Changed = Callable[[Any], Any]


def upgrade() -> None:
    op.alter_column("alerts", "words", new_column_name="message")
    _rewrite(lambda document: _renamed(document, "words", "message"), {"stop": "error"})


def downgrade() -> None:
    _rewrite(lambda document: _renamed(document, "message", "words"), {"error": "stop"})
    op.alter_column("alerts", "message", new_column_name="words")


def _rewrite(renamed: Changed, on_fail: dict[str, str]) -> None:
    _rewrite_column("stage_records", "detail", renamed)
    _rewrite_column("firings", "evidence", renamed)
    _rewrite_column("decisions", "criteria", lambda criteria: [_criterion(each, renamed) for each in criteria])
    _rewrite_column("validations", "result", lambda result: _validation(result, renamed, on_fail))


def _criterion(criterion: dict[str, Any], renamed: Changed) -> dict[str, Any]:
    details = criterion.get("details") or {}
    if "checks" in details:
        criterion = {**criterion, "details": {**details, "checks": [renamed(check) for check in details["checks"]]}}
    return renamed(criterion)  # type: ignore[no-any-return]


def _validation(result: dict[str, Any], renamed: Changed, on_fail: dict[str, str]) -> dict[str, Any]:
    checks = [renamed(check) for check in result.get("checks", [])]
    said = [{**check, "on_fail": on_fail.get(check["on_fail"], check["on_fail"])} if "on_fail" in check else check for check in checks]
    return renamed({**result, "checks": said} if "checks" in result else result)  # type: ignore[no-any-return]


def _renamed(document: dict[str, Any], before: str, after: str) -> dict[str, Any]:
    return {after if name == before else name: value for name, value in document.items()}


def _rewrite_column(table: str, column: str, changed: Changed) -> None:
    connection = op.get_bind()
    rows = sa.table(table, sa.column("id", sa.Integer), sa.column(column, sa.JSON))
    update = rows.update().where(rows.c.id == sa.bindparam("row")).values({column: sa.bindparam("document")})
    after = 0
    while found := connection.execute(sa.select(rows).where(rows.c.id > after).order_by(rows.c.id).limit(AT_ONCE)).all():
        differing = [{"row": number, "document": new} for number, old in found if (new := changed(old)) != old]
        if differing:
            connection.execute(update, differing)
        after = found[-1].id
