"""Verbs of strategy: what to change, for whom, in which order."""

from __future__ import annotations

from typing import Final

from upswing.verbs.base import Verb

VERBS: Final[tuple[Verb, ...]] = ()
