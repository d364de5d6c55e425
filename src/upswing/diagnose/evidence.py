"""What users said: notes from interviews, tickets, reviews and surveys, imported from CSV and put into stages."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from upswing.core.errors import DataError, UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.spec.journey import JourneyDefinition, Stage

FILE: Final = "evidence/notes.csv"
"""Where a workspace keeps its notes: a file that people can read and edit."""
COLUMNS: Final = ("id", "noted", "source", "user", "stage", "score", "text")
_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "noted": ("noted", "date", "time", "created_at", "日期", "时间"),
    "source": ("source", "survey", "channel", "type", "kind", "来源", "问卷", "渠道"),
    "user": ("user", "user_id", "customer", "用户"),
    "stage": ("stage", "阶段"),
    "score": ("score", "rating", "stars", "nps", "csat", "评分", "打分", "分数"),
    "text": ("text", "quote", "comment", "content", "note", "answer", "内容", "原话", "评论", "反馈"),
}
_ENCODINGS: Final = ("utf-8-sig", "gb18030")


@dataclass(frozen=True, slots=True)
class Note:
    """One thing a user said or scored.

    Attributes:
        id: eight hex digits of its content.
        noted: when, as written.
        source: interview, ticket, review, or the name of a survey.
        user: who said it, if known.
        stage: stage it was put into by hand; empty otherwise.
        score: on the scale of its source; None where nothing was scored.
        text: what was said.
    """

    id: str
    noted: str
    source: str
    user: str
    stage: str
    score: float | None
    text: str


@dataclass(frozen=True, slots=True)
class EvidenceImport:
    """What an import of notes did.

    Attributes:
        read: rows of the file.
        added: notes that are new.
        known: notes that were there already.
        rejected: (line, reason) of rows that cannot be used.
        columns: what each column of the file was taken for.
    """

    read: int
    added: int
    known: int
    rejected: tuple[tuple[int, Text], ...]
    columns: Mapping[str, str]


def import_notes(root: Path, file: Path, *, source: str | None = None) -> EvidenceImport:
    """Add the notes of a CSV file to the workspace; notes that are there already are not added again.

    Args:
        root: the workspace.
        file: CSV with a column of text or of scores; the columns are told by their names, in English or Chinese.
        source: what the notes come from, where the file has no such column; its name otherwise.

    Raises:
        DataError: UP360 the file cannot be read; UP361 it has neither a text nor a score column.
    """
    rows, columns = _table(file)
    known = {n.id: n for n in read_notes(root)}
    notes: dict[str, Note] = {}
    rejected: list[tuple[int, Text]] = []
    for line, row in rows:
        made = _note(row, source or file.stem)
        if isinstance(made, Text):
            rejected.append((line, made))
        else:
            notes[made.id] = made
    new = [n for n in notes.values() if n.id not in known]
    if new:
        write_notes(root, [*known.values(), *new])
    return EvidenceImport(len(rows), len(new), len(rows) - len(rejected) - len(new), tuple(rejected), columns)


def read_notes(root: Path) -> list[Note]:
    """The workspace's notes."""
    path = root / FILE
    if not path.exists():
        return []
    found = []
    for _, row in _table(path)[0]:
        made = _note(row, "")
        if isinstance(made, Note):
            found.append(replace(made, id=row.get("id") or made.id))
    return found


def write_notes(root: Path, notes: Sequence[Note]) -> None:
    """Write the workspace's notes, at once or not at all."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for n in notes:
        score = "" if n.score is None else f"{n.score:g}"
        writer.writerow([n.id, n.noted, n.source, n.user, n.stage, score, n.text])
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_text(out.getvalue(), encoding="utf-8")
    beside.replace(path)


def tag_notes(root: Path, journey: JourneyDefinition, tags: Mapping[str, str]) -> int:
    """Put notes into stages by hand; an empty stage takes a note out again.

    Args:
        root: the workspace.
        journey: whose stages.
        tags: id of a note → name of a stage.

    Raises:
        UsageError: UP672 no such note or stage.
    """
    notes = {n.id: n for n in read_notes(root)}
    stages = [s.name for s in journey.stages]
    for note, stage in tags.items():
        if note not in notes:
            raise UsageError(text("there is no note '{id}'", id=note), code="UP672", hint=did_you_mean(note, notes))
        if stage and stage not in stages:
            raise UsageError(
                text("the journey has no stage '{name}'", name=stage), code="UP672", hint=did_you_mean(stage, stages)
            )
        notes[note] = replace(notes[note], stage=stage)
    write_notes(root, list(notes.values()))
    return len(tags)


def placed(journey: JourneyDefinition, notes: Sequence[Note]) -> dict[str, list[Note]]:
    """Notes by stage: by hand, else by the survey that belongs to one stage, else by the stage's words; "" is nowhere.

    Of several stages whose words occur, the one with most of them wins, then the earlier one.
    """
    found: dict[str, list[Note]] = {s.name: [] for s in journey.stages}
    found[""] = []
    for note in notes:
        found[_stage_of(journey, note)].append(note)
    return found


def _stage_of(journey: JourneyDefinition, note: Note) -> str:
    if any(s.name == note.stage for s in journey.stages):
        return note.stage
    surveyed = [s.name for s in journey.stages if any(f.survey == note.source for f in s.feels)]
    if len(surveyed) == 1:
        return surveyed[0]
    said = note.text.casefold()

    def hits(stage: Stage) -> int:
        return sum(word.casefold() in said for word in stage.tags)

    best = max(journey.stages, key=hits)
    return best.name if hits(best) else ""


def _table(file: Path) -> tuple[list[tuple[int, dict[str, str]]], dict[str, str]]:
    """Rows with their lines, under our names of the columns; and what each column was taken for."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataError(
            text("the notes in {file} cannot be read: {error}", file=file, error=error.strerror), code="UP360"
        ) from None
    written = next((t for t in (_decoded(raw, e) for e in _ENCODINGS) if t is not None), None)
    if written is None:
        raise DataError(text("{file} is neither UTF-8 nor GB 18030 text", file=file), code="UP360")
    reader = csv.DictReader(io.StringIO(written, newline=""))
    columns = _columns(reader.fieldnames or [])
    if "text" not in columns.values() and "score" not in columns.values():
        raise DataError(
            text("{file} has neither a column of text nor one of scores", file=file),
            code="UP361",
            hint=text("name one of them text or score; there are: {names}", names=", ".join(reader.fieldnames or [])),
        )
    rows = [
        (reader.line_num, {columns[k]: (v or "").strip() for k, v in row.items() if k in columns}) for row in reader
    ]
    return rows, columns


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _columns(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, words in {"id": ("id",), **_SYNONYMS}.items():
        for name in names:
            if name.strip().casefold() in words and role not in found.values():
                found[name] = role
    return found


def _note(row: Mapping[str, str], source: str) -> Note | Text:
    said, scored = row.get("text", ""), row.get("score", "")
    if not said and not scored:
        return text("neither text nor score")
    score: float | None = None
    if scored:
        try:
            score = float(scored)
        except ValueError:
            return text("the score '{score}' is no number", score=scored)
        if score != score or score in (float("inf"), float("-inf")):
            return text("the score '{score}' is no number", score=scored)
    body = (row.get("noted", ""), row.get("source", "") or source, row.get("user", ""), scored, said)
    digest = hashlib.sha256("\x1f".join(body).encode()).hexdigest()[:8]
    return Note(digest, body[0], body[1], body[2], row.get("stage", ""), score, said)
