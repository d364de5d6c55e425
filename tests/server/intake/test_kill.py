"""Killed at any moment under load, nothing acknowledged is lost and nothing is stored twice.

``UPSWING_KILLS=50 python -m pytest tests/server/intake/test_kill.py`` is the long form.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.server.intake.serving import KEY, free_port, make_intake, process
from upswing.events.store import EventStore

ROUNDS = int(os.environ.get("UPSWING_KILLS", "4"))
CLIENTS = 3


@dataclass
class Ledger:
    """What clients sent, and what of it was acknowledged."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, url: str, name: str, stop: threading.Event) -> None:
        """Send batches, each until it is acknowledged or the server is gone; then the next process gets it again."""
        with httpx.Client(base_url=url, params={"key": KEY}, timeout=10) as session:
            number = 0
            while not stop.is_set():
                ids = [f"{name}-{number}-{i}" for i in range(random.Random(number).randint(1, 60))]
                number += 1
                with self.lock:
                    self.sent.update(ids)
                try:
                    answer = session.post("/v1/batch", json={"batch": [message(i) for i in ids]})
                except httpx.HTTPError:
                    return
                if answer.status_code == 200:
                    with self.lock:
                        self.acknowledged.update(ids)


def message(event_id: str) -> dict[str, object]:
    user = f"用户{hash(event_id) % 50}"
    return {"type": "track", "event": "买😀", "userId": user, "anonymousId": "d" + user, "messageId": event_id,
            "properties": {"金额": len(event_id), "id": event_id}}  # fmt: skip


def run_and_kill(folder: Path, ledger: Ledger, seconds: float, turn: int) -> None:
    port = free_port()
    with process(folder, port) as child:
        stop = threading.Event()
        url = f"http://127.0.0.1:{port}"
        threads = [
            threading.Thread(target=ledger.client, args=(url, f"{turn}.{c}", stop), daemon=True) for c in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        child.wait()
        stop.set()
        for thread in threads:
            thread.join(20)


@pytest.mark.timeout(1800)
def test_killed_at_any_moment(tmp_path: Path) -> None:
    folder = Path(os.environ.get("UPSWING_KILL_FOLDER", tmp_path))
    moments = random.Random(ROUNDS)
    ledger = Ledger()
    for turn in range(ROUNDS):
        run_and_kill(folder, ledger, moments.uniform(0.05, 1.5), turn)
    intake = make_intake(folder)
    intake.start()
    assert intake.writer.drain(120)
    intake.close()
    with EventStore.open(folder / "events.duckdb") as store:
        ids = [str(i) for (i,) in store.rows("SELECT event_id FROM events")]
        values = store.count('SELECT count(*) FROM events WHERE id <> event_id OR "金额" <> length(event_id)')
        aliased = store.count("SELECT count(*) - count(DISTINCT alias) FROM aliases")
    assert len(ids) == len(set(ids)), "an event stands twice"
    assert ledger.acknowledged - set(ids) == set(), "an acknowledged event is lost"
    assert set(ids) <= ledger.sent
    assert len(ledger.acknowledged) > 10 * ROUNDS, "the test did not load the server"
    assert (values, aliased) == (0, 0)
    print(json.dumps({"kills": ROUNDS, "acknowledged": len(ledger.acknowledged), "stored": len(ids)}))


def test_stopped_by_a_signal_it_ends_in_order(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, port) as child:
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/events", params={"key": KEY}, json={"user": "u", "event": "e"})
        assert answer.status_code == 200
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            pytest.fail("the server does not stop")
    intake = make_intake(tmp_path)
    intake.start()
    assert intake.writer.drain()
    intake.close()
    with EventStore.open(tmp_path / "events.duckdb") as store:
        assert store.count("SELECT count(*) FROM events") == 1
