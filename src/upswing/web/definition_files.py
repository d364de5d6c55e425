"""Definition files as the pages edit them: checked before they are written, compared, kept, never overwritten unseen."""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from upswing.core.errors import Problem, Problems, UsageError
from upswing.core.i18n import Text, text
from upswing.spec.definitions import KINDS, PROJECT_FILE, Definitions, model_of
from upswing.spec.references import check_references
from upswing.web.definition_words import label, meaning

HISTORY: Final = Path(".upswing") / "history"
LARGEST: Final = 200_000
KEPT: Final = 50

LineKind = Literal["same", "added", "removed", "place"]


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a comparison."""

    kind: LineKind
    text: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of a definition that a form can set.

    Args:
        key: its name in the file.
        label: its short name for people.
        about: what it means.
        values: as written; one, or several for a list; one empty text where nothing is.
        options: allowed values, if there are only some.
        problem: what is wrong with it.
        many: whether it is a list.
    """

    key: str
    label: str
    about: str
    values: tuple[str, ...]
    options: tuple[str, ...] = ()
    problem: str = ""
    many: bool = False

    @property
    def value(self) -> str:
        """The first value."""
        return self.values[0]


class DefinitionFiles:
    """The definition files of a workspace.

    Args:
        root: its folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """The file behind a name from an address.

        Raises:
            UsageError: UP882 it is none, or lies outside of the workspace.
        """
        pure = PurePosixPath(name)
        hidden = any(part.startswith(".") for part in pure.parts)
        inside = not pure.is_absolute() and pure.parts and pure.parts[0] != "data" and not hidden
        if not inside or pure.suffix not in (".yml", ".yaml") or pure.name == PROJECT_FILE:
            raise UsageError(text("'{name}' is no definition file", name=name), code="UP882")
        path = self.root / pure
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise UsageError(text("'{name}' is no definition file", name=name), code="UP882")
        return path

    def read(self, name: str) -> str:
        """Its text; empty for a file that is not there."""
        path = self.path(name)
        return path.read_text(encoding="utf-8-sig") if path.is_file() else ""

    def check(
        self, name: str, body: str, *, events: Sequence[str] | None = None, properties: Sequence[str] | None = None
    ) -> list[Problem]:
        """What would be wrong if the file had this text: the whole workspace is read with it."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            for path in self.root.rglob("*.y*ml"):
                inside = path.relative_to(self.root)
                if inside.parts[0] == "data" or any(part.startswith(".") for part in inside.parts):
                    continue
                (copy / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy / inside)
            changed = copy / PurePosixPath(name)
            changed.parent.mkdir(parents=True, exist_ok=True)
            changed.write_text(body, encoding="utf-8")
            definitions = Definitions.load(copy)
            problems = Problems([*definitions.problems])
            check_references(definitions, problems, events=events, properties=properties)
        own = [p for p in problems if p.file == name]
        # what another file has only because of this one, e.g. a name that is taken, stands at no line of this one
        return own + [
            replace(p, file=name, line=None, column=None) for p in problems if p.file != name and name in str(p.message)
        ]

    def save(self, name: str, body: str, *, read_as: str) -> None:
        """Write the file, if it still is what the editor saw; what it was is kept.

        Args:
            name: the file.
            body: its new text.
            read_as: `fingerprint` of the text that was edited.

        Raises:
            UsageError: UP881 somebody else changed it meanwhile.
        """
        path, before = self.path(name), self.read(name)
        if fingerprint(before) != read_as:
            raise UsageError(
                text("'{name}' was changed by somebody else meanwhile", name=name),
                code="UP881",
                hint=text("compare below and save again to replace it with yours"),
            )
        if before:
            self._keep(name, before)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(body if body.endswith("\n") else body + "\n", encoding="utf-8")
        temporary.replace(path)

    def history(self, name: str) -> list[tuple[str, datetime]]:
        """Earlier texts: id and time, latest first."""
        folder = self._history(name)
        found = sorted((p.stem for p in folder.glob("*.yml")), reverse=True) if folder.is_dir() else []
        return [(stem, datetime.strptime(stem, "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)) for stem in found]

    def earlier(self, name: str, stem: str) -> str:
        """An earlier text."""
        known = [found for found, _ in self.history(name)]
        if stem not in known:
            raise UsageError(text("no earlier text '{id}' of '{name}'", id=stem, name=name), code="UP882")
        return (self._history(name) / f"{stem}.yml").read_text(encoding="utf-8")

    def _history(self, name: str) -> Path:
        self.path(name)
        return self.root / HISTORY / name

    def _keep(self, name: str, body: str) -> None:
        folder = self._history(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.yml").write_text(body, encoding="utf-8")
        for old in sorted(folder.glob("*.yml"))[:-KEPT]:
            old.unlink()


def fingerprint(body: str) -> str:
    """Tells whether a text is still the same.

    Examples:
        >>> fingerprint("a") == fingerprint("a"), fingerprint("a") == fingerprint("b")
        (True, False)
    """
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def difference(before: str, after: str) -> list[DiffLine]:
    """What changes, line by line, with three lines around it; empty when nothing does.

    Examples:
        >>> [line.text for line in difference("a\\nb\\n", "a\\nc\\n") if line.kind != "same"]
        ['b', 'c']
    """
    kinds: dict[str, LineKind] = {"+": "added", "-": "removed", " ": "same"}
    found: list[DiffLine] = []
    for line in list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))[2:]:
        if line.startswith("@@"):
            if found:
                found.append(DiffLine("place", "⋯"))
        else:
            found.append(DiffLine(kinds[line[:1]], line[1:]))
    return found


def settings_of(body: str, problems: Sequence[Problem] = ()) -> list[Setting]:
    """The keys of a definition that are single values or lists of them, for a form; none where the file holds several
    definitions. A problem stands at the key whose lines it is in."""
    data = _single(body)
    if data is None or data.get("kind") not in KINDS:
        return []
    schema = model_of(str(data["kind"])).model_json_schema(by_alias=True)
    wrong = _problems_by_key(body, problems)
    found = []
    for key, part in schema["properties"].items():
        value, many = data.get(key), _is_list(part)
        if key == "kind" or not (many or _is_single(part, schema)):
            continue
        if isinstance(value, dict) or (isinstance(value, list) and not many):
            continue
        written = value if isinstance(value, list) else [value]
        if any(isinstance(v, dict | list) for v in written):
            continue
        values = tuple(_shown(v) for v in written if v is not None) or ("",)
        about = meaning(str(part.get("description", "")))
        found.append(Setting(key, label(key), about, values, _options(part, schema), wrong.get(key, ""), many))
    return found


def with_settings(body: str, given: Mapping[str, str | Sequence[str]]) -> str:
    """The text with some keys set; comments and everything else stay. An empty value, or a list of none, removes its key.

    Examples:
        >>> print(with_settings("kind: aha\\n# mine\\ncounts: [1, 2]\\n", {"counts": ["1", "3", ""]}), end="")
        kind: aha
        # mine
        counts: [1, 3]
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = yaml.load(body)
    for key, value in given.items():
        values = [value] if isinstance(value, str) else [v for v in value if v]
        before = data.get(key)
        if not any(values):
            data.pop(key, None)
        elif isinstance(value, str):
            if _shown(before) != value:
                data[key] = _typed(value)
        elif [_shown(v) for v in (before if isinstance(before, list) else [before])] != values:
            if isinstance(before, list):  # in place, so that it stays written as it was
                before[:] = [_typed(v) for v in values]
            else:
                data[key] = [_typed(v) for v in values]
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def _problems_by_key(body: str, problems: Sequence[Problem]) -> dict[str, str]:
    """The first problem of each top-level key: one in its lines, or one that says that it is missing."""
    try:
        places = _places(body)
    except YAMLError:
        return {}
    found: dict[str, str] = {}
    for problem in problems:
        named = problem.message.values.get("key") if isinstance(problem.message, Text) else None
        missing = problem.code == "UP102" and isinstance(named, str) and named not in {key for _, key in places}
        above = [key for line, key in places if problem.line is not None and line <= problem.line]
        at = str(named) if missing else (above[-1] if above else None)
        if at is not None:
            found.setdefault(at, str(problem.message))
    return found


def _places(body: str) -> list[tuple[int, str]]:
    """Line (from 1) and name of every top-level key, in order."""
    data = YAML(typ="rt").load(body)
    return [(data.lc.key(key)[0] + 1, str(key)) for key in data]


def _shown(value: object) -> str:
    return "" if value is None else json.dumps(value) if isinstance(value, bool) else str(value)


def _is_list(part: Mapping[str, Any]) -> bool:
    """Whether it is a list of single values (or such a list is one way to write it)."""
    items = [o.get("items") for o in (part, *part.get("anyOf", ())) if o.get("type") == "array"]
    return any(item and item.get("type") in ("string", "number", "integer") for item in items)


def _typed(value: str) -> str | int | float | bool:
    if value in ("true", "false"):
        return value == "true"
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        return value


def _single(body: str) -> dict[str, Any] | None:
    try:
        found = list(YAML(typ="safe", pure=True).load_all(body))
    except YAMLError:
        return None
    return found[0] if len(found) == 1 and isinstance(found[0], dict) else None


def _is_single(part: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    options = part.get("anyOf", [part])
    kinds = [o.get("type") or ("string" if "enum" in _resolved(o, schema) else "") for o in options]
    return all(k in ("string", "number", "integer", "boolean", "null") for k in kinds) or (
        "string" in kinds and any(str(o.get("$ref", "")).endswith("/Label") for o in options)
    )


def _options(part: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, ...]:
    for option in part.get("anyOf", [part]):
        listed = _resolved(option, schema).get("enum")
        if listed:
            return tuple(str(v) for v in listed)
    return ("true", "false") if part.get("type") == "boolean" else ()


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = part.get("$ref")
    if not reference:
        return part
    found: Mapping[str, Any] = schema["$defs"][reference.rsplit("/", 1)[1]]
    return found
