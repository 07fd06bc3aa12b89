"""The watcher: one thread in each API server, of which the one that holds the lease does the duties."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time

from evergreen_airflow.watch.duties import FIRST_LOOK_BACK, LOOK_BACK, Duty, Watch, own_duties
from include.evergreen.state import leases

log = logging.getLogger(__name__)
LEASE = "watch"
PERIOD_SECONDS = 5.0
LEASE_SECONDS = 30.0  # a holder that is killed is followed by another after that, at most
STOP_SECONDS = 3.0


class Watcher:
    """Does the duties whenever it holds the lease, until it is stopped; it survives every error of theirs."""

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()[:120]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evergreen-watcher", daemon=True)
        self._term: int | None = None
        self._watch = Watch()
        self._duties: list[Duty] = []

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it, and let the lease go so that another takes over at once. What is being done is not waited for for long."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)
        if not self._thread.is_alive() and self._term is not None:
            try:
                leases.release(LEASE, self.holder)
            except Exception as error:
                log.warning("The lease %r ends by itself: %s", LEASE, error)

    def look(self) -> bool:
        """Do once what is due, if the lease is to be had.

        :returns: whether it was
        """
        lease = leases.acquire(LEASE, self.holder, LEASE_SECONDS)
        if lease is None:
            self._term = None
            return False
        if lease.term != self._term:  # whoever held it may have done what this one does not know of
            log.info("This process watches now (%s, term %s)", self.holder, lease.term)
            self._term = lease.term
            self._watch = Watch(look_back=FIRST_LOOK_BACK if lease.term == 1 else LOOK_BACK)
            self._duties = own_duties()
        renewed = time.monotonic()
        for duty in self._duties:
            if self._stop.is_set():
                break
            if time.monotonic() - renewed > PERIOD_SECONDS:
                renewed = time.monotonic()
                if leases.acquire(LEASE, self.holder, LEASE_SECONDS) is None:
                    break  # a duty took longer than the lease lasts
            duty.do(self._watch)
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Exception as error:  # our database is down, as a rule
                log.warning("The watcher waits: %s", error)
            self._stop.wait(PERIOD_SECONDS)
