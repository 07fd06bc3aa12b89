"""The append-only, hash-chained record of what was decided and done.

Each entry's hash is SHA-256 over its own content and the hash before it, so an edit, a deletion or a new order shows. An
anchor outside the database holds the newest hash of a day, so a cut tail, or a rewritten one, shows too.
"""

from include.evergreen.state.ledger.anchors import anchor, anchors
from include.evergreen.state.ledger.bindings import BINDINGS, bind, compare, differences, newest_bound_entry, unbind, why_unbound
from include.evergreen.state.ledger.entries import GENESIS, KINDS, append
from include.evergreen.state.ledger.export import export
from include.evergreen.state.ledger.verification import MOST_PROBLEMS, LedgerVerification, verified, verified_file, verify

__all__ = [
    "BINDINGS",
    "GENESIS",
    "KINDS",
    "MOST_PROBLEMS",
    "LedgerVerification",
    "anchor",
    "anchors",
    "append",
    "bind",
    "compare",
    "differences",
    "export",
    "newest_bound_entry",
    "unbind",
    "verified",
    "verified_file",
    "verify",
    "why_unbound",
]
