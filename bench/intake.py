"""``python -m bench.intake``: events over HTTP, durable before the answer, against a bare append to DuckDB.

``throughput`` sends Segment batches as fast as the server answers, and appends the same rows to a bare DuckDB table in the
same run. ``soak`` sends at a fixed rate for some minutes, asks a funnel all the while, and writes down memory.

    python -m bench.intake throughput --events 500000
    python -m bench.intake soak --minutes 30 --rate 10000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import httpx
import psutil
import pyarrow as pa

from upswing.facts.database import Facts
from upswing.workspace import Workspace

NAMES = ("view", "add", "pay", "搜索")
CONNECTIONS = 4
FUNNEL = {"steps": ["view", "add", "pay"], "within": "1d"}


@dataclass
class Answers:
    """How long requests took, in seconds, and how many events were acknowledged."""

    seconds: list[float] = field(default_factory=list)
    events: int = 0
    turned_away: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, seconds: float, events: int) -> None:
        with self.lock:
            self.seconds.append(seconds)
            self.events += events


def row(i: int, run: str) -> dict[str, object]:
    """An event as Segment's clients send it, about 430 bytes."""
    at = datetime.now(tz=UTC) - timedelta(seconds=i % 60)
    return {
        "type": "track", "userId": f"user-{i * 7919 % 100_000}", "event": NAMES[i % 4],
        "timestamp": at.isoformat(), "messageId": f"{run}-{i:012d}", "integrations": {},
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"},
                    "page": {"url": f"https://example.com/p/{i % 5000}", "title": "首页"}},
        "properties": {"amount": i % 100 * 1.5, "sku": f"sku-{i % 1000}", "count": i % 9, "vip": i % 2 == 0,
                       "platform": "ios"},
    }  # fmt: skip


def body(start: int, count: int, run: str) -> bytes:
    sent = datetime.now(tz=UTC).isoformat()
    return json.dumps({"batch": [row(i, run) for i in range(start, start + count)], "sentAt": sent}).encode()


@contextmanager
def serving(root: Path) -> Iterator[tuple[int, str, psutil.Process]]:
    """A server as a process of its own: its port, an intake key, and the process."""
    if not (root / "upswing.yml").exists():
        Workspace.create(root)
    facts = Facts.open(root)
    key = facts.keys.new("intake", label="bench")[0]
    facts.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with (root / "server.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "upswing", "serve", "--workspace", str(root), "--port", str(port)],
            stdout=log, stderr=log, env=dict(os.environ),
        )  # fmt: skip
    try:
        wait_until_ready(port)
        yield port, key, psutil.Process(child.pid)
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()


def wait_until_ready(port: int) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code < 500:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the server does not answer")


def send(port: int, key: str, bodies: Iterator[tuple[bytes, int, float]], answers: Answers) -> None:
    """Send bodies over one connection, each at its moment; a raw socket, so that the client costs little."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = link.makefile("rb")
        for content, events, moment in bodies:
            ahead = moment - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            begun = time.perf_counter()
            head = (f"POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-API-Key: {key}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n")  # fmt: skip
            link.sendall(head.encode() + content)
            status = answer_of(reader)
            if status == 200:
                answers.note(time.perf_counter() - begun, events)
            elif status == 429:
                answers.turned_away += 1
                time.sleep(1)
            else:
                raise RuntimeError(f"status {status}")


def answer_of(reader: object) -> int:
    status = int(reader.readline().split()[1])  # type: ignore[attr-defined]
    length = 0
    while (line := reader.readline()) not in (b"\r\n", b""):  # type: ignore[attr-defined]
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    reader.read(length)  # type: ignore[attr-defined]
    return status


def throughput(events: int, per_request: int) -> None:
    run = f"{random.randrange(2**32):08x}"
    bodies = [(body(i, per_request, run), per_request, 0.0) for i in range(0, events, per_request)]
    total = len(bodies) * per_request
    work = Path(tempfile.mkdtemp(prefix="upswing-intake-"))
    bare_append(work / "each.duckdb", total, per_request, run, f"bare DuckDB, a commit per {per_request} rows")
    bare_append(work / "large.duckdb", total, 50_000, run, "bare DuckDB, a commit per 50,000 rows")
    answers = Answers()
    with serving(work / "ws") as (port, key, process):
        used = process.cpu_times()
        begun = time.perf_counter()
        queue = iter(bodies)
        lock = threading.Lock()

        def mine() -> Iterator[tuple[bytes, int, float]]:
            while True:
                with lock:
                    following = next(queue, None)
                if following is None:
                    return
                yield following

        threads = [threading.Thread(target=send, args=(port, key, mine(), answers)) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        acknowledged = time.perf_counter() - begun
        wait_for_log(port, total)
        in_log = time.perf_counter() - begun
        now = process.cpu_times()
        cpu = now.user + now.system - used.user - used.system
        memory = process.memory_info().rss / 2**20
    print(f"intake over HTTP, {per_request} events per request, {CONNECTIONS} connections: {total:,} events")
    print(f"  durable (acknowledged)  {total / acknowledged:10,.0f} events/s   requests {quantiles(answers.seconds)}")
    print(f"  in the log              {total / in_log:10,.0f} events/s")
    print(f"  server's processor time {cpu / total * 1e6:10.1f} µs per event; resident {memory:,.0f} MiB")
    check(work / "ws" / "data" / "events.duckdb", total)
    shutil.rmtree(work)


def bare_append(path: Path, total: int, each: int, run: str, label: str) -> None:
    """The same rows, ready in memory as columns, appended to one table; every commit is synced as DuckDB does."""
    sample = [flat(row(i, run)) for i in range(min(total, 50_000))]
    tables = [pa.Table.from_pylist(sample[i : i + each]) for i in range(0, len(sample), each)]
    con = duckdb.connect(str(path))
    con.register("rows", tables[0])
    con.execute("CREATE TABLE events AS SELECT * FROM rows LIMIT 0")
    used, begun, done = time.process_time(), time.perf_counter(), 0
    while done < total:
        table = tables[done // each % len(tables)]
        con.register("rows", table)
        con.execute("INSERT INTO events SELECT * FROM rows")
        done += table.num_rows
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    con.close()
    print(f"{label:<44} {done / seconds:10,.0f} events/s   {cpu / done * 1e6:.1f} µs per event", flush=True)


def flat(event: dict[str, object]) -> dict[str, object]:
    context, properties = event["context"], event["properties"]
    assert isinstance(context, dict)
    assert isinstance(properties, dict)
    return {
        "user": event["userId"], "time": datetime.fromisoformat(str(event["timestamp"])).replace(tzinfo=None),
        "event": event["event"], "event_id": event["messageId"], "library": context["library"]["name"],
        "version": context["library"]["version"], "url": context["page"]["url"], "title": context["page"]["title"],
        **properties,
    }  # fmt: skip


def wait_for_log(port: int, total: int) -> None:
    for _ in range(6000):
        if gauge(port, "upswing_intake_written_events_total") >= total:
            return
        time.sleep(0.1)
    raise TimeoutError("the log does not get the events")


def check(log: Path, total: int) -> None:
    with duckdb.connect(str(log), read_only=True) as con:
        found = con.execute("SELECT count(*), count(DISTINCT event_id) FROM events").fetchone()
    assert found == (total, total), found


def quantiles(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "too few"
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"p50 {cuts[49] * 1e3:,.0f} ms, p99 {cuts[98] * 1e3:,.0f} ms, most {max(seconds) * 1e3:,.0f} ms"


def soak(minutes: float, rate: float, per_request: int, *, ask: bool, engine_memory: str | None) -> None:
    work = Path(tempfile.mkdtemp(prefix="upswing-soak-"))
    if engine_memory is not None:
        Workspace.create(work / "ws").close()
        with (work / "ws" / "upswing.yml").open("a", encoding="utf-8") as file:
            file.write(f"engine: {{memory: {engine_memory}}}\n")
    answers, asked = Answers(), Answers()
    stop = threading.Event()
    with serving(work / "ws") as (port, key, process):
        begun = time.perf_counter()
        end = begun + minutes * 60
        run = f"{random.randrange(2**32):08x}"

        def paced(connection: int) -> Iterator[tuple[bytes, int, float]]:
            number = connection
            while (moment := begun + number * per_request / rate) < end:
                yield body(number * per_request, per_request, run), per_request, moment
                number += CONNECTIONS

        threads = [threading.Thread(target=send, args=(port, key, paced(c), answers)) for c in range(CONNECTIONS)]
        if ask:
            threads.append(threading.Thread(target=ask_on, args=(port, stop, asked)))
        for thread in threads:
            thread.start()
        while time.perf_counter() < end:
            time.sleep(min(15.0, max(0.1, end - time.perf_counter())))
            line(port, process, answers, asked, time.perf_counter() - begun)
        stop.set()
        for thread in threads:
            thread.join()
        wait_for_log(port, answers.events)
        line(port, process, answers, asked, time.perf_counter() - begun)
    print(f"requests {quantiles(answers.seconds)}; turned away {answers.turned_away}")
    print(f"funnel   {quantiles(asked.seconds)} over {len(asked.seconds)} answers")
    check(work / "ws" / "data" / "events.duckdb", answers.events)
    shutil.rmtree(work)


def ask_on(port: int, stop: threading.Event, asked: Answers) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
        while not stop.wait(2):
            begun = time.perf_counter()
            steps = [("step", step) for step in ("view", "add", "pay")]
            answer = client.get("/api/v1/funnel", params=[*steps, ("within", "1d")])
            if answer.status_code == 200:
                asked.note(time.perf_counter() - begun, 1)
            else:
                print(answer.text[:300], flush=True)


def line(port: int, process: psutil.Process, answers: Answers, asked: Answers, seconds: float) -> None:
    """Memory of the server, and of that what grows with the log: the columns that questions read, and DuckDB's cache."""
    memory = process.memory_full_info()
    columns, engine = (gauge(port, name) / 2**20 for name in ("upswing_columns_bytes", "upswing_engine_bytes"))
    print(
        f"{seconds:7.0f} s  {answers.events:>12,} events  private {memory.uss / 2**20:7,.0f} MiB"
        f"  resident {memory.rss / 2**20:7,.0f} MiB  columns {columns:5,.0f}  engine {engine:5,.0f}"
        f"  funnels {len(asked.seconds)}",
        flush=True,
    )


def gauge(port: int, name: str) -> float:
    """A figure of the server's own, 0 before it is there."""
    found = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return next((float(line.split()[-1]) for line in found.splitlines() if line.startswith(name)), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    fast = kinds.add_parser("throughput")
    fast.add_argument("--events", type=int, default=300_000)
    fast.add_argument("--per-request", type=int, default=500)
    long = kinds.add_parser("soak")
    long.add_argument("--minutes", type=float, default=30)
    long.add_argument("--rate", type=float, default=10_000, help="events per second")
    long.add_argument("--per-request", type=int, default=500)
    long.add_argument("--no-questions", action="store_true")
    long.add_argument("--engine-memory", help="DuckDB's limit, e.g. 256MB")
    given = parser.parse_args()
    if given.kind == "throughput":
        throughput(given.events, given.per_request)
    else:
        soak(
            given.minutes, given.rate, given.per_request, ask=not given.no_questions, engine_memory=given.engine_memory
        )


if __name__ == "__main__":
    main()
