"""Identity by dated aliases, looked up afresh for every event."""

from collections.abc import Sequence
from typing import NamedTuple


class Alias(NamedTuple):
    """``alias`` is ``canonical`` from ``valid_from`` on (None: always)."""

    alias: str
    canonical: str
    valid_from: int | None = None


class CycleError(ValueError):
    """Aliases lead back to an id already passed; the message names the ids in order."""


def resolve(identifier: str, time: int, aliases: Sequence[Alias]) -> str:
    """Who ``identifier`` was at ``time``: the newest row in force, else the first row ever; then on along the chain."""
    passed = [identifier]
    while True:
        rows = [(a.valid_from if a.valid_from is not None else -(2**62), a) for a in aliases if a.alias == passed[-1]]
        if not rows:
            return passed[-1]
        rows.sort(key=lambda pair: pair[0])
        in_force = [a for since, a in rows if since <= time]
        following = (in_force[-1] if in_force else rows[0][1]).canonical
        if following in passed:
            raise CycleError(" → ".join([*passed, following]))
        passed.append(following)
