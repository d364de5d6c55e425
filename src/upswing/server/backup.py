"""A workspace into one file and back, also while it is served: log, spool, run-time facts, definitions.

Everything that was acknowledged before a backup began is in it. The spool is copied before the log: what the log takes in
between is in the log's copy, and the log knows up to where it has the spool.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import upswing
from upswing.core.errors import DataError, EngineError, UsageError
from upswing.core.i18n import Text, text
from upswing.core.private import keep_private, private_folder
from upswing.events.statements import literal, name, statement
from upswing.events.store import EventStore
from upswing.facts.clock import now
from upswing.facts.copying import dump, load
from upswing.facts.database import DEFAULT_FILE, Facts
from upswing.facts.secrets import KEY_FILE
from upswing.server.forgetting import erased_from, forget_again, logs_in
from upswing.spec.definitions import PROJECT_FILE, load_project
from upswing.spec.files import edit_yaml
from upswing.spec.project import EngineSpec
from upswing.workspace.holder import holder_of

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
LOG, FACTS, SPOOL, FILES, KEY = "log.duckdb", "facts.jsonl", "spool", "files", KEY_FILE
_SPOOL_FOLDER: Final = "spool"
_STEP: Final = 1 << 20
_TEMPORARY: Final = ".backup."
_RESTORING: Final = ".restoring."
_A_RESTORE_TAKES: Final = 3600.0
_UNDER_WAY: Final[set[str]] = set()
_UNDER_WAY_LOCK: Final = threading.Lock()
Reading = Callable[[], AbstractContextManager[EventStore]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Args:
        made_at: µs UTC.
        version: of Upswing.
        project: shown name of the workspace.
        events: rows of the log; None where the events are kept elsewhere.
        audit_head: digest of the latest entry of the audit log, see `facts.audit`.
        files: path inside the backup → SHA-256.
    """

    made_at: int
    version: str
    project: str
    events: int | None
    audit_head: str
    files: dict[str, str]

    def to_dict(self) -> dict[str, object]:
        """As plain data."""
        return {"format": FORMAT, **{key: getattr(self, key) for key in Manifest.__slots__}}


def back_up(root: Path, target: Path, *, reading: Reading | None, facts: Facts, secret_key: bool = False) -> Manifest:
    """Write a backup.

    Args:
        root: folder of the workspace.
        target: the file; replaced only when the new one is whole. Only its owner can read it.
        reading: gives the log; None where the events are kept elsewhere.
        facts: the run-time facts.
        secret_key: also the key file that opens the secrets of connectors; without it they have to be given anew after a
            restore on another machine.

    Raises:
        EngineError: UP705 out of disk.
    """
    project = load_project(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as made:
        work = Path(made)
        _copy_spool((root / project.engine.path).parent / _SPOOL_FOLDER, work / SPOOL)
        events = None
        if reading is not None:
            with reading() as store:
                events = _copy_log(store, work / LOG)
        dump(facts, work / FACTS)
        _copy_files(root, work / FILES, left_out=target)
        if secret_key and (facts.folder / KEY_FILE).exists():
            shutil.copyfile(facts.folder / KEY_FILE, work / KEY)
        paths = sorted(p for p in work.rglob("*") if p.is_file())
        manifest = Manifest(
            now(), upswing.__version__, project.project, events, facts.audit.head(),
            {p.relative_to(work).as_posix(): _digest(p) for p in paths},
        )  # fmt: skip
        (work / MANIFEST).write_text(json.dumps(manifest.to_dict(), indent=1), encoding="utf-8")
        _pack(work, [work / MANIFEST, *paths], target)
    return manifest


def restore(source: Path, root: Path, *, force: bool = False, say: Callable[[Text], object] | None = None) -> Manifest:
    """Make a workspace from a backup. Nothing is touched before the whole backup is checked, and nothing outside the folder:
    a log that the backup names elsewhere comes to its usual place inside, unless the workspace that is replaced has it there.

    Args:
        source: the file.
        root: folder of the workspace to be.
        force: put it in the place of a workspace that is there: its log, spool and run-time facts go, definitions of the
            same name are replaced, other files stay. Who was erased there since stays erased.
        say: told where the log went, if not where the backup's settings say.

    Raises:
        DataError: UP849 the file is no backup, is damaged, or of another version; UP347 it hashes erased users under
            another key than the workspace that it would replace.
        EngineError: UP848 the unpacked log does not take what is in the spool.
        UsageError: UP850 there is a workspace, a server holds it, or its database of facts is in use.
    """
    if root.exists() and any(root.iterdir()) and not force:
        raise UsageError(
            text("'{folder}' is not empty", folder=root), code="UP850",
            hint=text("name a new folder, or put the backup in its place with --force"),
        )  # fmt: skip
    if holder_of(root) is not None:
        raise UsageError(text("a server holds '{folder}'", folder=root), code="UP850", hint=text("stop it first"))
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=_RESTORING) as made:
        work = Path(made)
        manifest = unpack(source, work)
        if _kept_inside(work, root) and say is not None:
            say(text("the log was elsewhere; here it is {file}", file=root / EngineSpec().path))
        if force:
            _forget_erased(work, root)
        else:
            _check_facts_are_empty(work)
        _put_in_place(work, root)
    return manifest


def checked(source: Path) -> Manifest:
    """Read a whole backup and compare every file with the manifest.

    Raises:
        DataError: UP849 the file is no backup, is damaged, or of another version.
    """
    with tempfile.TemporaryDirectory(dir=source.parent, prefix=f".{source.name}.") as made:
        return unpack(source, Path(made))


def temporary_file(root: Path) -> Path:
    """An empty file in the data folder for a backup that is fetched; to be deleted by `done_with`."""
    with _UNDER_WAY_LOCK:
        handle, file = tempfile.mkstemp(suffix=".tar", prefix=_TEMPORARY, dir=root / "data")
        os.close(handle)
        path = Path(file)
        _UNDER_WAY.add(path.name)
    return path


def done_with(path: Path) -> None:
    """Delete a file of `temporary_file`."""
    path.unlink(missing_ok=True)
    with _UNDER_WAY_LOCK:
        _UNDER_WAY.discard(path.name)


def remove_leftovers(root: Path) -> int:
    """Delete what backups and restores that were cut short left: whole copies of the log. How many.

    Backups that this process makes now stay. No other process may serve the workspace. What a restore unpacked goes an hour
    after it was begun: it is not locked.
    """
    found = 0
    for left in root.glob(_RESTORING + "*"):
        if time.time() - left.stat().st_mtime > _A_RESTORE_TAKES:
            shutil.rmtree(left, ignore_errors=True)
            found += 1
    with _UNDER_WAY_LOCK:
        for pattern in (_TEMPORARY + "*", "." + _TEMPORARY + "*"):  # the file itself; the folder it is made in
            for left in (root / "data").glob(pattern):
                if any(name in left.name for name in _UNDER_WAY):
                    continue
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
                found += 1
    return found


def unpack(source: Path, folder: Path) -> Manifest:
    """Check a backup and write its files into an empty folder.

    Raises:
        DataError: UP849 the file is no backup, is damaged, or of another version.
    """
    try:
        with tarfile.open(source, "r:") as archive:
            manifest = _manifest(archive)
            for member in archive:
                _take(archive, member, manifest, folder)
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(str(error)[:200]) from None
    missing = [path for path in manifest.files if not (folder / path).is_file()]
    if missing:
        raise _damaged(missing[0])
    return manifest


# -- copying ----------------------------------------------------------------------------------------------------------


def _copy_spool(spool: Path, target: Path) -> None:
    """Segments as they are now; one that goes meanwhile is in the log."""
    target.mkdir()
    for file in sorted(spool.glob("*")) if spool.is_dir() else []:
        if file.suffix in (".frames", ".json"):
            try:
                shutil.copyfile(file, target / file.name)
            except FileNotFoundError:
                continue


def _copy_log(store: EventStore, target: Path) -> int:
    """The log as of one moment, into a new file; questions and writers go on."""
    copy = name("upswing_copy")
    source = name(str(store.value("SELECT current_database()")))
    store.run(statement("ATTACH {path} AS {copy}", path=literal(str(target)), copy=copy))
    try:
        with store.transaction():
            events = store.count("SELECT count(*) FROM events")
            store.run(statement("COPY FROM DATABASE {source} TO {copy}", source=source, copy=copy))
        copied = store.count(statement("SELECT count(*) FROM {copy}.main.events", copy=copy))
        store.run(statement("CHECKPOINT {copy}", copy=copy))
    finally:
        store.run(statement("DETACH {copy}", copy=copy))
    if copied != events:
        raise EngineError(text("the copy of the log differs from the log"), code="UP707")
    return events


def _copy_files(root: Path, target: Path, *, left_out: Path) -> None:
    """Definitions and whatever else is in the folder, without data and what belongs to this machine."""
    target.mkdir()
    for folder, folders, files in os.walk(root):
        place = Path(folder)
        folders[:] = [f for f in folders if not f.startswith(".") and (place != root or f != "data")]
        for file in files:
            path = place / file
            if file.startswith(".") or path.is_symlink() or path.resolve() == left_out.resolve():
                continue
            copy = target / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    accepted = root / ".upswing" / "lock.json"
    if accepted.is_file():
        (target / ".upswing").mkdir()
        shutil.copyfile(accepted, target / ".upswing" / "lock.json")


def _pack(work: Path, paths: list[Path], target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in paths:
                member = archive.gettarinfo(path, path.relative_to(work).as_posix())
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                with path.open("rb") as content:
                    archive.addfile(member, content)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(target)


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as content:
        while piece := content.read(_STEP):
            found.update(piece)
    return found.hexdigest()


# -- restoring --------------------------------------------------------------------------------------------------------


def _manifest(archive: tarfile.TarFile) -> Manifest:
    first = archive.next()
    content = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
    if first is None or content is None or first.size > 64 << 20:
        raise _damaged(MANIFEST)
    found = json.loads(content.read())
    if found.pop("format") != FORMAT:
        raise DataError(text("the backup is of another version"), code="UP849")
    return Manifest(**found)


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, manifest: Manifest, folder: Path) -> None:
    """Write one file, if the manifest knows it and it is what the manifest says."""
    if member.name == MANIFEST:
        return
    path = PurePosixPath(member.name)
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or path.is_absolute() or ".." in path.parts or member.name not in manifest.files:
        raise _damaged(member.name)
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with target.open("xb") as out:
        while piece := content.read(_STEP):
            found.update(piece)
            out.write(piece)
    if found.hexdigest() != manifest.files[member.name]:
        raise _damaged(member.name)


def _put_in_place(work: Path, root: Path) -> None:
    for path in sorted(p for p in (work / FILES).rglob("*") if p.is_file()):
        target = root / path.relative_to(work / FILES)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    project = load_project(root)
    log = root / project.engine.path
    if not log.parent.exists():
        private_folder(log.parent)
    keep_private(work / LOG, work / SPOOL, *(work / SPOOL).glob("*"))
    if (work / LOG).exists():
        log.with_name(log.name + ".wal").unlink(missing_ok=True)  # it belongs to the log that goes
        shutil.rmtree(log.with_suffix(".spine"), ignore_errors=True)
        (work / LOG).replace(log)
    spool = log.parent / _SPOOL_FOLDER
    shutil.rmtree(spool, ignore_errors=True)
    if any((work / SPOOL).glob("*")):
        (work / SPOOL).replace(spool)
    if (work / KEY).exists():
        (work / KEY).replace(root / "data" / KEY_FILE)
        (root / "data" / KEY_FILE).chmod(0o600)
    with _emptied_facts(root, project.facts) as facts:
        load(facts, work / FACTS)


def _kept_inside(work: Path, root: Path) -> bool:
    """Whether the unpacked settings had to be changed, so that the log comes to lie under `root`."""
    inside = Path(os.path.normpath(root.absolute()))

    def place(path: str) -> Path:  # by its words: links inside the folder are its owner's
        return Path(os.path.normpath(inside / path))

    wanted = place(load_project(work / FILES).engine.path)
    if wanted.is_relative_to(inside):
        return False
    if (root / PROJECT_FILE).is_file() and place(load_project(root).engine.path) == wanted:
        return False

    def change(project: MutableMapping[str, object]) -> None:
        engine = project.get("engine")
        if isinstance(engine, MutableMapping):
            engine.pop("path", None)

    edit_yaml(work / FILES / PROJECT_FILE, change)
    return True


def _check_facts_are_empty(work: Path) -> None:
    """A database elsewhere may be the one that the backed-up workspace still works with."""
    url = load_project(work / FILES).facts
    if url is None:
        return
    with Facts.open(work, url) as facts:
        if facts.audit.entries(limit=1) or next(iter(facts.people), None) is not None:
            raise UsageError(
                text("the database of run-time facts that the backup names is not empty"),
                code="UP850",
                hint=text("write another one into a copy of upswing.yml, or replace its contents with --force"),
            )


def _forget_erased(work: Path, root: Path) -> None:
    """Whoever was erased from the log that is there now goes from the unpacked one, while nothing is replaced yet."""
    project = load_project(work / FILES)
    known = erased_from(logs_in(root, root / project.engine.path))
    forget_again(work / LOG, work / SPOOL, known, calendar=project.calendar)


@contextmanager
def _emptied_facts(root: Path, url: str | None) -> Iterator[Facts]:
    if url is None:
        for ending in ("", "-wal", "-shm"):
            file = root / DEFAULT_FILE
            file.with_name(file.name + ending).unlink(missing_ok=True)
    with Facts.open(root, url) as facts:
        yield facts


def _damaged(what: str) -> DataError:
    return DataError(text("this is not a backup, or it is damaged: {what}", what=what), code="UP849")
