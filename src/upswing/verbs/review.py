"""Verbs of the growth review."""

from __future__ import annotations

from typing import Final

from upswing.verbs.base import Verb

VERBS: Final[tuple[Verb, ...]] = ()
