"""Files as the user names them: globs, folders, standard input; their kind, encoding and digest."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal, cast

from upswing.core.errors import DataError, did_you_mean
from upswing.core.i18n import Text, text

Kind = Literal["csv", "jsonl", "json", "parquet"]

_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".pq")
_PACKED: Final = (".gz", ".zst")
_HEAD: Final = 4 << 20
_CHUNK: Final = 1 << 20
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read.

    Args:
        source: as the user named it; shown in messages.
        path: where it is; standard input is a file in the spill folder.
        kind: told from its content.
        digest: SHA-256 of its bytes.
        size: bytes.
    """

    source: str
    path: Path
    kind: Kind
    digest: str
    size: int


def expand(paths: Sequence[str | Path], spill: Path) -> list[InputFile]:
    """Find the files that `paths` name: files, globs, folders and ``-`` for standard input; each once, in order.

    Args:
        paths: as the user gave them.
        spill: folder for a copy of standard input.

    Raises:
        DataError: UP320 nothing there, UP323 empty.
    """
    found: dict[Path, str] = {}
    for given in paths:
        if str(given) == "-":
            found[_spool_stdin(spill)] = "-"
            continue
        for path in _matches(Path(given)):
            found.setdefault(path, str(path))
    return [_input_file(path, source) for path, source in found.items()]


def head_of(path: Path, size: int = _HEAD) -> bytes:
    """The first bytes of a file, unpacked."""
    with unpacked(path) as stream:
        return stream.read(size)


def unpacked(path: Path) -> IO[bytes]:
    """A file opened for reading; ``.gz`` and ``.zst`` are unpacked on the way."""
    with path.open("rb") as probe:
        magic = probe.read(4)
    if magic[:2] == b"\x1f\x8b":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if magic == b"\x28\xb5\x2f\xfd":
        import pyarrow as pa

        return cast("IO[bytes]", pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def recognise_encoding(path: Path, *, source: str, whole: bool = False) -> str:
    """The encoding of a text file: UTF-8 (with or without mark), UTF-16 with mark, or GB 18030.

    Args:
        path: the file.
        source: its name for errors.
        whole: read all of it, not only its beginning.

    Raises:
        DataError: UP324 none of them fits.
    """
    head = head_of(path, 4)
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    bad, wide = _undecodable(path, "utf-8", whole)
    if bad == 0:
        return "utf-8"
    if _undecodable(path, "gb18030", whole)[0] == 0:
        return "gb18030"
    if bad * 10 < wide:
        return "utf-8"  # a few damaged rows among many good ones; they are set aside one by one
    raise DataError(
        text("{source} is neither UTF-8 nor UTF-16 nor GB 18030", source=source),
        code="UP324",
        hint=text("name its encoding, e.g. --encoding latin-1"),
    )


def transcode(path: Path, encoding: str, spill: Path, *, source: str) -> tuple[Path, Text]:
    """A UTF-8 copy of a text file, and the message that says so.

    Raises:
        DataError: UP324 the text is not in that encoding, or there is no such encoding.
    """
    spill.mkdir(parents=True, exist_ok=True)
    copy = spill / f"{path.name}.utf8"
    try:
        reader = codecs.getreader(encoding)
        with unpacked(path) as raw, copy.open("w", encoding="utf-8", newline="") as out:
            shutil.copyfileobj(reader(raw), out, _CHUNK)
    except (UnicodeError, LookupError) as error:
        raise DataError(
            text("{source} cannot be read as {encoding}: {cause}", source=source, encoding=encoding, cause=error),
            code="UP324",
            hint=text("name its encoding, e.g. --encoding latin-1"),
        ) from None
    return copy, text("{source} is in {encoding}; read through a UTF-8 copy", source=source, encoding=encoding)


def literal_path(path: Path) -> str:
    """A path for the engine, with the characters it takes for patterns made plain."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path))


def _matches(given: Path) -> Iterator[Path]:
    if given.is_dir():
        inside = sorted(p for p in given.rglob("*") if p.is_file() and _known(p))
        if not inside:
            raise DataError(text("no CSV, JSON or Parquet files in the folder '{path}'", path=given), code="UP320")
        yield from inside
    elif given.exists():
        yield given
    else:
        anchor, pattern = _split_glob(given)
        inside = sorted(p for p in anchor.glob(pattern) if p.is_file()) if pattern else []
        if not inside:
            beside = [str(p) for p in given.parent.iterdir() if p.is_file()] if given.parent.is_dir() else []
            raise DataError(text("no file '{path}'", path=given), code="UP320", hint=did_you_mean(str(given), beside))
        yield from inside


def _split_glob(given: Path) -> tuple[Path, str]:
    parts = given.parts
    wild = next((i for i, part in enumerate(parts) if any(c in part for c in "*?[")), None)
    if wild is None:
        return given.parent, ""
    return Path(*parts[:wild]) if wild else Path(), str(Path(*parts[wild:]))


def _known(path: Path) -> bool:
    suffixes = [s for s in path.suffixes if s not in _PACKED]
    return bool(suffixes) and suffixes[-1].lower() in _SUFFIXES


def _spool_stdin(spill: Path) -> Path:
    spill.mkdir(parents=True, exist_ok=True)
    path = spill / "stdin"
    with path.open("wb") as out:
        shutil.copyfileobj(sys.stdin.buffer, out, _CHUNK)
    return path


def _input_file(path: Path, source: str) -> InputFile:
    digest, size = hashlib.sha256(), path.stat().st_size
    if size == 0:
        raise DataError(text("{source} is empty", source=source), code="UP323")
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return InputFile(source, path, _kind(path, source), digest.hexdigest(), size)


def _kind(path: Path, source: str) -> Kind:
    try:
        head = head_of(path, 4096)
    except (OSError, EOFError) as error:
        raise DataError(
            text("{source} cannot be unpacked: {cause}", source=source, cause=error), code="UP325"
        ) from None
    if head[:4] == b"PAR1" or path.suffix.lower() in (".parquet", ".pq"):
        return "parquet"
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(text("{source} is empty", source=source), code="UP323")
    if start == b"[":
        return "json"
    named = [s.lower() for s in path.suffixes]
    return "jsonl" if start == b"{" or {".jsonl", ".ndjson"} & set(named) else "csv"


def _undecodable(path: Path, encoding: str, whole: bool) -> tuple[int, int]:
    """Characters that do not decode, and characters beyond ASCII."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    bad = wide = read = 0
    with unpacked(path) as stream:
        while (whole or read < _HEAD) and (chunk := stream.read(_CHUNK)):
            read += len(chunk)
            decoded = decoder.decode(chunk)
            bad += decoded.count("\ufffd")
            if not decoded.isascii():
                wide += len(decoded) - len(decoded.encode("ascii", "ignore"))
    return bad, wide
