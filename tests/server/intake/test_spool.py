"""The spool: what was acknowledged is there after any end; a torn end is cut; a full disk refuses and loses nothing."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upswing.core.errors import EngineError
from upswing.server.errors import ServerError
from upswing.server.intake import spool as module
from upswing.server.intake.spool import Place, Spool

FRAMES = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=12)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def contents(spool: Spool, start: Place | None = None) -> list[bytes]:
    found = []
    for payload, _ in spool._frames(start or spool.first):
        found.append(payload)
    return found


@QUICK
@given(FRAMES, st.integers(1, 400))
def test_reopened_spool_has_every_frame_in_order(tmp_path: Path, frames: list[bytes], segment_bytes: int) -> None:
    folder = tmp_path / "s"
    shutil.rmtree(folder, ignore_errors=True)
    first = Spool(folder, segment_bytes=segment_bytes, fsync=False)
    for frame in frames:
        first.append(frame).result()
    first.close()
    again = Spool(folder, fsync=False)
    assert contents(again) == frames
    assert again.id == first.id
    again.close()


@QUICK
@given(FRAMES, st.data())
def test_torn_end_loses_only_the_frame_that_was_torn(tmp_path: Path, frames: list[bytes], data: st.DataObject) -> None:
    folder = tmp_path / "s"
    shutil.rmtree(folder, ignore_errors=True)
    spool = Spool(folder, fsync=False)
    ends = [spool.append(frame).result().offset for frame in frames]
    spool.close()
    file = folder / f"{1:012d}.frames"
    cut = data.draw(st.integers(0, ends[-1]))
    junk = data.draw(st.sampled_from([b"", b"\0" * 100, b"\xff" * 100]))
    file.write_bytes(file.read_bytes()[:cut] + junk)
    again = Spool(folder, fsync=False)
    whole = sum(end <= cut for end in ends)
    assert contents(again) == frames[:whole]
    assert file.stat().st_size == ([0, *ends])[whole]
    again.append(b"next").result()
    assert contents(again) == [*frames[:whole], b"next"]
    again.close()


def test_damage_in_the_middle_is_kept_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path, fsync=False)
    for frame in (b"one", b"two", b"three"):
        spool.append(frame).result()
    spool.close()
    file = tmp_path / f"{1:012d}.frames"
    content = bytearray(file.read_bytes())
    content[8 + 3 + 8] ^= 1  # inside "two"
    file.write_bytes(bytes(content))
    again = Spool(tmp_path, fsync=False)
    assert contents(again) == [b"one"]
    assert file.with_suffix(".damaged").read_bytes() == bytes(content[11:])
    again.close()


def test_waiting_requests_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, syncs = threading.Event(), threading.Event(), []

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        begun.set()
        go.wait(5)

    spool = Spool(tmp_path, fsync=False)
    monkeypatch.setattr(spool, "_sync", slow)
    first = spool.append(b"first")
    begun.wait(5)
    others = [spool.append(b"x%d" % i) for i in range(50)]
    go.set()
    for future in [first, *others]:
        future.result(5)
    assert len(syncs) == 2
    spool.close()


def test_released_segments_are_deleted_and_numbers_never_come_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=50, fsync=False)
    places = [spool.append(b"x" * 40).result() for _ in range(5)]
    assert [p.segment for p in places] == [1, 1, 2, 2, 3]
    spool.release(places[3])
    assert [int(p.stem) for p in sorted(tmp_path.glob("*.frames"))] == [2, 3]
    spool.release(places[4])
    assert spool.backlog == 0
    spool.close()
    again = Spool(tmp_path, fsync=False)
    assert again.resume(places[4]) == places[4]
    assert again.append(b"y").result().segment == 4
    assert contents(again, places[4]) == [b"y"]
    again.close()


def test_log_that_is_ahead_of_an_older_spool_takes_nothing_twice(tmp_path: Path) -> None:
    older = Spool(tmp_path, fsync=False)
    older.append(b"old").result()
    older.close()
    for place in (Place(9, 100), Place(2, 5), Place(1, 1000)):  # 2 is the number that would come next
        spool = Spool(tmp_path, fsync=False, taken={older.id: place}.get)
        assert spool.append(b"new").result().segment > place.segment  # before anybody has asked where to read on
        assert contents(spool, spool.resume(place)) == [b"new"]
        spool.close()
        for file in tmp_path.glob("*.frames"):
            file.unlink()


def test_full_spool_refuses_with_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=100, fsync=False)
    first = spool.append(b"x" * 80).result()
    with pytest.raises(ServerError) as refused:
        spool.append(b"y" * 80)
    assert refused.value.status == 429
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    spool.release(first)
    spool.append(b"y" * 80).result()
    spool.close()


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EIO, 503)])
@pytest.mark.parametrize("written", [0, 5])
def test_disk_that_fails_refuses_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int, written: int
) -> None:
    spool = Spool(tmp_path, fsync=False)
    spool.append(b"before").result()
    real = os.write
    calls = []

    def failing(descriptor: int, data: bytes) -> int:
        calls.append(descriptor)
        if written and len(calls) == 1:
            return real(descriptor, data[:written])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.os, "write", failing)
    with pytest.raises(ServerError) as refused:
        spool.append(b"lost").result(5)
    assert refused.value.status == status
    monkeypatch.undo()
    spool.append(b"after").result(5)
    assert contents(spool) == [b"before", b"after"]
    spool.close()
    again = Spool(tmp_path, fsync=False)
    assert contents(again) == [b"before", b"after"]
    again.close()


def test_last_bytes_of_the_disk_are_left_for_the_log(tmp_path: Path) -> None:
    spool = Spool(tmp_path, fsync=False, reserve=2**62)
    with pytest.raises(ServerError, match="reserve") as refused:
        spool.append(b"x").result(5)
    assert refused.value.status == 507
    spool.reserve = 0
    spool.append(b"y").result(5)
    assert contents(spool) == [b"y"]
    spool.close()


def test_sync_that_fails_is_not_asked_again_of_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fsync the kernel may call lost pages clean, so the same file cannot be trusted."""
    spool = Spool(tmp_path, fsync=False)

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(spool, "_sync", failing)
    with pytest.raises(ServerError):
        spool.append(b"lost").result(5)
    monkeypatch.undo()
    assert spool.append(b"after").result(5).segment > 1
    spool.close()


def test_second_process_is_kept_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path, fsync=False)
    with pytest.raises(EngineError, match="UP874"):
        Spool(tmp_path, fsync=False)
    spool.close()
    Spool(tmp_path, fsync=False).close()


def test_closed_spool_takes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, fsync=False)
    spool.close()
    with pytest.raises(ServerError, match="UP808"):
        spool.append(b"x")


def test_frame_layout_is_as_documented(tmp_path: Path) -> None:
    spool = Spool(tmp_path, fsync=False)
    spool.append(b"abc").result()
    spool.close()
    length, check = struct.unpack("<II", (tmp_path / f"{1:012d}.frames").read_bytes()[:8])
    assert (length, check) == (3, 0x352441C2)  # CRC-32 of "abc"


def test_rotation_lets_everything_taken_be_deleted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, fsync=False)
    spool.append(b"a person").result()
    spool.rotate()
    spool.release(spool.durable)
    assert all(p.stat().st_size == 0 for p in tmp_path.glob("*.frames"))
    spool.close()
