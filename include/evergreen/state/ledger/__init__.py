"""The append-only, hash-chained record of what was decided and done.

Each entry's hash is SHA-256 over its own content and the hash before it, so an edit, a deletion or a new order shows. An
anchor outside the database holds the newest hash of a day, so a cut tail, or one that was written anew, shows too.
"""

from include.evergreen.state.ledger.anchors import anchor, anchors
from include.evergreen.state.ledger.entries import GENESIS, KINDS, append
from include.evergreen.state.ledger.export import export
from include.evergreen.state.ledger.verification import Verified, verified, verified_file, verify

__all__ = ["GENESIS", "KINDS", "Verified", "anchor", "anchors", "append", "export", "verified", "verified_file", "verify"]
