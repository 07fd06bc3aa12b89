"""The steps of evergreen.audit. None of them imports training or scoring code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class VerifyLedgerOperator(BaseOperator):
    """Recompute the ledger's hash chain and compare it with the anchors."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify the ledger. Fails with `DataError`, and raises an alert, if it was changed.

        :param context: the running task's Airflow context
        :returns: the number of ``entries`` and ``anchors``
        """
        from include.evergreen.operations.audit import audit_ledger

        verification = audit_ledger()
        return {"entries": verification.entries, "anchors": len(verification.anchors)}


class AnchorLedgerOperator(BaseOperator):
    """Store the ledger's newest hash outside the database, once a day."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write today's anchor.

        :param context: the running task's Airflow context
        :returns: its ``date``, its ``sequence`` in the ledger, and ``is_new`` (false if it existed already)
        """
        from include.evergreen.state import ledger

        anchor, is_new = ledger.anchor()
        return {"date": str(anchor.date), "sequence": anchor.sequence, "is_new": is_new}


class AuditChampionsOperator(BaseOperator):
    """Compare each champion's files and MLflow alias with what was blessed. An alias that was moved by hand is restored, with an alert."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Audit the champions. Fails with `DataError` if a champion's files are missing or changed.

        :param context: the running task's Airflow context
        :returns: ``models`` (number of models audited) and ``fixed`` (descriptions of what was restored)
        """
        from include.evergreen.operations.audit import audit_champions, raise_audit_errors

        result = audit_champions()
        raise_audit_errors(result)
        return {"models": result.models, "fixed": result.corrected}
