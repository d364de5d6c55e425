"""Steps from one version of the tables to the next. A new database is made at the latest version at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

LATEST: Final = 1
"""Version of `tables`. A change of a table adds one here and a step below."""

STEPS: Final[dict[int, Callable[[Connection], None]]] = {}
"""Version → what brings the version before it there, inside one transaction."""
