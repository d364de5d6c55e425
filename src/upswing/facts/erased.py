"""Users who were erased, as keyed hashes: enough to keep them out when an old file comes again, not to name them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from upswing.facts.clock import now
from upswing.facts.tables import ERASED

if TYPE_CHECKING:
    from upswing.facts.database import Facts


class Erased:
    """Tombstones of one workspace."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def add(self, user_ids: Iterable[str]) -> int:
        """Keep ids out from now on.

        Returns:
            How many were not kept out before.
        """
        digests = {self.digest(user_id) for user_id in user_ids}
        with self._facts.writing() as connection:
            known = set(connection.execute(select(ERASED.c.digest).where(ERASED.c.digest.in_(digests))).scalars())
            new = [{"digest": digest, "erased_at": now()} for digest in sorted(digests - known)]
            if new:
                connection.execute(ERASED.insert(), new)
        return len(new)

    def remove(self, user_ids: Iterable[str]) -> int:
        """Let ids in again, when the person asks for it; how many were kept out."""
        digests = [self.digest(user_id) for user_id in user_ids]
        with self._facts.writing() as connection:
            return connection.execute(ERASED.delete().where(ERASED.c.digest.in_(digests))).rowcount

    def count(self) -> int:
        """How many ids are kept out."""
        with self._facts.reading() as connection:
            return connection.execute(select(func.count()).select_from(ERASED)).scalar_one()

    def digests(self) -> frozenset[str]:
        """All tombstones, to test many ids against."""
        with self._facts.reading() as connection:
            return frozenset(connection.execute(select(ERASED.c.digest)).scalars())

    def digest(self, user_id: str) -> str:
        """The tombstone of an id: HMAC-SHA256 under a key of the workspace, so that ids cannot be tried out without it."""
        return hmac.new(self._facts.secrets.tombstone_key(), user_id.encode(), hashlib.sha256).hexdigest()
