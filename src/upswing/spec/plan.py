"""What a change of definitions touches: compared with the accepted state in ``.upswing/lock.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from upswing.core.errors import DataError
from upswing.core.i18n import Text, text
from upswing.spec.base import Definition
from upswing.spec.definitions import Definitions

LOCK: Final = Path(".upswing") / "lock.json"
Effect = Literal["added", "removed", "breaking", "cosmetic"]


@dataclass(frozen=True, slots=True)
class Change:
    """One definition that differs from the accepted state.

    Args:
        kind: kind of definition.
        name: its name.
        effect: ``breaking``: numbers change; ``cosmetic``: only labels, descriptions or owners do.
        keys: top-level keys that differ.
        used_by: definitions that refer to it, as ``kind name``.
    """

    kind: str
    name: str
    effect: Effect
    keys: tuple[str, ...]
    used_by: tuple[str, ...]

    @property
    def sentence(self) -> Text:
        """The effect in words."""
        return {
            "added": text("new"),
            "removed": text("gone; whatever refers to it will fail"),
            "breaking": text("numbers change"),
            "cosmetic": text("label, description or owner only"),
        }[self.effect]


def plan(definitions: Definitions) -> list[Change]:
    """What has changed since the last `apply`, in order of kind and name."""
    accepted = _read_lock(definitions.root)
    current = {(kind, d.name): d for kind, d in definitions}
    changes = []
    for key in sorted({*accepted, *current}):
        change = _compare(key, accepted.get(key), current.get(key), _users_of(key, definitions))
        if change:
            changes.append(change)
    return changes


def apply(definitions: Definitions) -> Path:
    """Accept the current definitions: write the lock file, atomically."""
    body = {
        f"{kind} {d.name}": {"hash": d.hash, "definition": d.model_dump(mode="json", exclude_defaults=True)}
        for kind, d in sorted(definitions, key=lambda pair: (pair[0], pair[1].name))
    }
    path = definitions.root / LOCK
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path


def _compare(
    key: tuple[str, str], before: dict[str, Any] | None, after: Definition | None, used_by: tuple[str, ...]
) -> Change | None:
    kind, name = key
    if after is None:
        return Change(kind, name, "removed", (), used_by)
    now = after.model_dump(mode="json", exclude_defaults=True)
    if before is None:
        return Change(kind, name, "added", (), used_by)
    old = before["definition"]
    keys = tuple(sorted(k for k in {*old, *now} if old.get(k) != now.get(k)))
    if not keys:
        return None
    return Change(kind, name, "breaking" if before["hash"] != after.hash else "cosmetic", keys, used_by)


def _users_of(key: tuple[str, str], definitions: Definitions) -> tuple[str, ...]:
    """Definitions whose body names this one where a reference to its kind can stand."""
    kind, name = key
    found = []
    for other_kind, other in definitions:
        if (other_kind, other.name) != key and _refers(other.model_dump(mode="json"), kind, name):
            found.append(f"{other_kind} {other.name}")
    return tuple(sorted(found))


def _refers(body: Any, kind: str, name: str) -> bool:
    if isinstance(body, dict):
        return any((k in (kind, kind + "s") and _names(v, name)) or _refers(v, kind, name) for k, v in body.items())
    return isinstance(body, list) and any(_refers(v, kind, name) for v in body)


def _names(value: Any, name: str) -> bool:
    return value == name or (isinstance(value, list) and name in value)


def _read_lock(root: Path) -> dict[tuple[str, str], dict[str, Any]]:
    path = root / LOCK
    if not path.is_file():
        return {}
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return {(k.split(" ", 1)[0], k.split(" ", 1)[1]): v for k, v in body.items()}
    except (ValueError, IndexError, OSError):
        raise DataError(
            text("{file} is damaged", file=LOCK.as_posix()),
            code="UP004",
            hint=text("delete it and run: upswing apply"),
        ) from None
