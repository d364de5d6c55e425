"""Who is whom, from logins: aliases of a batch into the log's identity table, inside the batch's transaction.

An app says at every event who is signed in, so most statements are known already. One is added only when it changes who
the device belongs to at its moment; the log's aliases of the ids concerned are read, never all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import pyarrow as pa

from upswing.engines.identity import ALWAYS
from upswing.events.statements import Fragment, statement
from upswing.events.store import EventStore, engine_errors
from upswing.server.intake.staging import SOURCE

Pair = tuple[str, str, int]
"""(alias, canonical, from when in µs)."""
_LONGEST_CHAIN: Final = 1000


def add_identities(store: EventStore, pairs: Iterable[Pair]) -> list[tuple[Pair, str]]:
    """Add what is new; inside a transaction.

    Args:
        store: the log.
        pairs: statements in any order.

    Returns:
        The statements that cannot be, with the cause: an alias of itself by way of others, or of two ids from the same
        moment.
    """
    wanted = sorted(dict.fromkeys(pairs), key=lambda pair: (pair[2], pair[0], pair[1]))
    if not wanted:
        return []
    held = _Held(store, wanted)
    new: list[Pair] = []
    refused: list[tuple[Pair, str]] = []
    for alias, canonical, at in wanted:
        if held.stands_for(alias, at) == canonical:
            continue
        other = held.exactly(alias, at)
        if other is not None:  # as `events.identity` has it: nobody is two people from the same moment
            refused.append(((alias, canonical, at), f"{alias} → {other}, {canonical}"))
        elif held.circular(alias, canonical):
            refused.append(((alias, canonical, at), f"{alias} → {canonical} → … → {alias}"))
        else:
            held.add(alias, canonical, at)
            new.append((alias, canonical, at))
    _insert(store, new)
    return refused


class _Held:
    """The log's aliases of the ids of a batch, and of the ids that these stand for."""

    def __init__(self, store: EventStore, pairs: Sequence[Pair]) -> None:
        self._steps: dict[str, dict[int, str]] = {}
        asked: set[str] = set()
        wanted = {alias for alias, _, _ in pairs} | {canonical for _, canonical, _ in pairs}
        for _ in range(_LONGEST_CHAIN):
            wanted -= asked
            if not wanted:
                break
            asked |= wanted
            wanted = self._read(store, wanted)

    def stands_for(self, alias: str, at: int) -> str | None:
        """Whom an alias stands for at a moment, as `engines.identity` resolves it: the first also before it begins."""
        steps = self._steps.get(alias)
        if not steps:
            return None
        before = [since for since in steps if since <= at]
        return steps[max(before) if before else min(steps)]

    def exactly(self, alias: str, at: int) -> str | None:
        """Whom an alias begins to stand for at this very moment."""
        return self._steps.get(alias, {}).get(at)

    def circular(self, alias: str, canonical: str) -> bool:
        """Whether `canonical` leads to `alias` at any time."""
        reached, queue = {canonical}, [canonical]
        while queue:
            for following in self._steps.get(queue.pop(), {}).values():
                if following == alias:
                    return True
                if following not in reached:
                    reached.add(following)
                    queue.append(following)
        return False

    def add(self, alias: str, canonical: str, at: int) -> None:
        """Note a new one."""
        self._steps.setdefault(alias, {})[at] = canonical

    def _read(self, store: EventStore, ids: Iterable[str]) -> set[str]:
        with engine_errors():
            store.connection.register("upswing_ids_asked", pa.table({"alias": pa.array(sorted(ids), pa.string())}))
        try:
            found = store.rows(
                "SELECT alias, canonical, epoch_us(valid_from) FROM aliases SEMI JOIN upswing_ids_asked USING (alias)"
                " ORDER BY added_at"
            )
        finally:
            store.connection.unregister("upswing_ids_asked")
        for alias, canonical, since in found:
            self.add(str(alias), str(canonical), ALWAYS if since is None else int(str(since)))
        return {str(canonical) for _, canonical, _ in found}


def _insert(store: EventStore, pairs: Sequence[Pair]) -> None:
    if not pairs:
        return
    columns = zip(*pairs, strict=True)
    table = pa.table(dict(zip(("alias", "canonical", "since"), (pa.array(list(c)) for c in columns), strict=True)))
    with engine_errors():
        store.connection.register("upswing_aliases_new", table)
    try:
        store.run(_INSERT, {"source": SOURCE})
    finally:
        store.connection.unregister("upswing_aliases_new")
    store.bump("identity_version")


_INSERT: Final[Fragment] = statement(
    "INSERT INTO aliases SELECT alias, canonical, make_timestamp(since), $source, now()::TIMESTAMP"
    " FROM upswing_aliases_new ORDER BY since"
)
