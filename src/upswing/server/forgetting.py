"""A restored workspace without whoever was erased from the one it takes the place of, before it takes that place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from upswing.core.calendar import Calendar
from upswing.core.errors import UpswingError
from upswing.events.erasure import Tombstones, carry_over, tombstones
from upswing.events.store import EventStore
from upswing.server.intake.service import Intake, empty_spool
from upswing.spec.definitions import load_project


def logs_in(root: Path, *others: Path) -> list[Path]:
    """The logs that a folder has now.

    Args:
        root: folder of a workspace, or of what is left of one.
        others: further places where its log may be.
    """
    found = list(others)
    with suppress(UpswingError):  # no settings there, or none that can be read
        found.append(root / load_project(root).engine.path)
    return [log for log in dict.fromkeys(found) if log.is_file()]


def erased_from(logs: Iterable[Path]) -> list[Tombstones]:
    """Who was erased from some logs.

    Raises:
        EngineError: UP701 another process has a log, UP702 it cannot be read.
    """
    found = []
    for log in logs:
        with EventStore.open(log) as store:
            known = tombstones(store)
            store.run("CHECKPOINT")  # its file is all there is of it, so that another can be put over it
        if known is not None:
            found.append(known)
    return found


def forget_again(log: Path, spool: Path, known: Sequence[Tombstones], *, calendar: Calendar) -> None:
    """Erase from an unpacked log, and from the spool beside it, whoever was erased since they were packed.

    What waits in the spool goes into the log first, as in every erasure (`server.erasure`), for a frame can hold an
    alias, a click, or an event dated ahead of its time.

    Args:
        log: the unpacked log.
        spool: folder of the unpacked spool.
        known: who was erased.
        calendar: the workspace's.

    Raises:
        DataError: UP347 the unpacked log hashes erased users under another key.
        EngineError: UP848 the log does not take what is in the spool.
    """
    if not known or not log.is_file():
        return
    if any(file.stat().st_size for file in spool.glob("*.frames")):
        intake = Intake.open(spool, log, calendar=calendar)
        try:
            intake.start()
            empty_spool(intake)
        finally:
            intake.close()
    with EventStore.open(log) as store:
        for one in known:
            carry_over(store, one)
        store.run("CHECKPOINT")  # only the file itself is put in place
