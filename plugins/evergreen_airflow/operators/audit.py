"""The three steps of evergreen.audit. None of them imports what trains or scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator


class VerifyLedgerOperator(BaseOperator):
    """Fails, and raises the alert, when the ledger is not what was written."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.operations.audit import audit_ledger

        found = audit_ledger()
        return {"entries": found.entries, "anchors": len(found.anchors)}


class AnchorLedgerOperator(BaseOperator):
    """Keeps the ledger's newest hash outside the database, once a day."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.state import ledger

        anchor, is_new = ledger.anchor()
        return {"date": str(anchor.date), "sequence": anchor.sequence, "is_new": is_new}


class AuditChampionsOperator(BaseOperator):
    """Fails when a champion's files are not those that were blessed; an alias that a hand moved is put back, with its alert."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.operations.audit import audit_champions, refuse_what_is_wrong

        audited = audit_champions()
        refuse_what_is_wrong(audited)
        return {"models": audited.models, "mended": audited.mended}
