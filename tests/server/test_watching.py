"""A question that is given up ends, whenever the word comes."""

from __future__ import annotations

import threading

import duckdb
import pytest

from upswing.server.watching import CancelledError, Watch, Watched


class Deaf:
    """A cursor that does not hear the first interrupts, as one whose statement has not begun."""

    def __init__(self, deaf: int) -> None:
        self.heard = threading.Event()
        self._deaf = deaf

    def interrupt(self) -> None:
        self._deaf -= 1
        if self._deaf < 0:
            self.heard.set()


@pytest.mark.parametrize("deaf", [0, 1, 3])
def test_an_interrupt_that_is_not_heard_is_said_again(deaf: int) -> None:
    watch, cursor = Watch(), Deaf(deaf)
    with watch.statement(cursor):  # type: ignore[arg-type]
        watch.cancel()
        assert cursor.heard.wait(30)


def test_what_follows_is_refused() -> None:
    watch = Watch()
    watch.cancel()
    with pytest.raises(CancelledError), watch.statement(Deaf(0)):  # type: ignore[arg-type]
        pass


def test_a_statement_of_the_engine_ends() -> None:
    watch, began = Watch(), threading.Event()

    def ask() -> None:
        with duckdb.connect() as connection, watch.running(), Watched(connection).cursor() as cursor:
            began.set()
            with pytest.raises(duckdb.InterruptException):
                cursor.execute("SELECT sum(a.i * b.i) FROM range(10_000_000) a(i), range(10_000_000) b(i)").fetchall()

    asker = threading.Thread(target=ask)
    asker.start()
    assert began.wait(30)
    watch.cancel()
    asker.join(60)
    assert not asker.is_alive()
