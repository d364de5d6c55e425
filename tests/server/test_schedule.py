"""Jobs come round: by the clock, once for what was missed, one at a time, again after a crash, until cancelled."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from upswing.core.errors import DataError
from upswing.core.units import HOUR, Duration
from upswing.facts.clock import now
from upswing.facts.database import Facts
from upswing.server.schedule import Run, Schedule

HOURLY = Duration(HOUR)


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[Facts]:
    with Facts.open(tmp_path) as opened:
        yield opened


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_runs_what_is_due_in_its_thread(facts: Facts) -> None:
    ran: list[str] = []
    schedule = Schedule(facts)
    schedule.add("a", HOURLY, lambda run: ran.append(run.name))
    schedule.add("b", HOURLY, lambda run: ran.append(run.name), first=now() + HOUR)
    schedule.start()
    until(lambda: ran == ["a"])
    schedule.run_soon("b")
    until(lambda: ran == ["a", "b"])
    schedule.stop()
    assert facts.jobs.get("a").next_at > now()


def test_one_at_a_time_and_cancelled_between_steps(facts: Facts) -> None:
    began, order = threading.Event(), []

    def long(run: Run) -> None:
        began.set()
        order.append("long")
        while True:
            run.check()
            time.sleep(0.01)

    schedule = Schedule(facts)
    schedule.add("long", HOURLY, long, first=now() - 2)
    schedule.add("short", HOURLY, lambda _: order.append("short"), first=now() - 1)
    schedule.start()
    assert began.wait(20)
    assert not schedule.cancel("short")
    assert order == ["long"]
    assert schedule.cancel("long")
    until(lambda: order == ["long", "short"])
    schedule.stop()
    assert facts.jobs.get("long").last_error == "cancelled"


def test_stopping_the_server_ends_the_run(facts: Facts) -> None:
    began = threading.Event()

    def long(run: Run) -> None:
        began.set()
        while True:
            run.check()
            time.sleep(0.01)

    schedule = Schedule(facts)
    schedule.add("long", HOURLY, long)
    schedule.start()
    assert began.wait(20)
    schedule.stop()
    assert facts.jobs.get("long").running_since is None


def test_failures_are_written_down_and_do_not_end_the_schedule(facts: Facts) -> None:
    def fail(_: Run) -> None:
        raise DataError("no events", code="UP310")

    def crash(_: Run) -> None:
        raise ValueError("user 42 said hunter2")

    ran = []
    schedule = Schedule(facts)
    schedule.add("fail", HOURLY, fail, first=1)
    schedule.add("crash", HOURLY, crash, first=2)
    schedule.add("fine", HOURLY, ran.append, first=3)  # type: ignore[arg-type]
    assert [schedule.run_due() for _ in range(4)] == [True, True, True, False]
    assert "no events" in str(facts.jobs.get("fail").last_error)
    assert facts.jobs.get("crash").last_error == "ValueError"  # words may hold personal data
    assert len(ran) == 1
    assert facts.jobs.get("fail").failures == 1


def test_a_job_that_no_part_has_any_more_is_put_aside(facts: Facts) -> None:
    facts.jobs.schedule("gone", HOURLY)
    schedule = Schedule(facts)
    assert schedule.run_due()
    assert not facts.jobs.get("gone").enabled


def test_survives_a_process_that_dies_in_a_run(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from upswing.facts.database import Facts\n"
        "from upswing.server.schedule import Schedule\n"
        "from upswing.core.units import Duration\n"
        "schedule = Schedule(Facts.open(pathlib.Path(sys.argv[1])))\n"
        "schedule.add('watch', Duration.parse('1d'), lambda run: os._exit(9))\n"
        "schedule.run_due()\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 9
    with Facts.open(tmp_path) as facts:
        assert facts.jobs.get("watch").running_since is not None
        ran = []
        schedule = Schedule(facts)
        schedule.add("watch", Duration.parse("1d"), ran.append)  # type: ignore[arg-type]
        schedule.start()
        until(lambda: bool(ran) and facts.jobs.get("watch").running_since is None)
        schedule.stop()
        assert len(ran) == 1
        assert facts.jobs.get("watch").last_error is None
