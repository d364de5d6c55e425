import pytest

from upswing.core.calendar import Calendar
from upswing.events.importer import import_files
from upswing.events.store import EventStore


@pytest.fixture
def store(tmp_path):
    with EventStore.create(tmp_path / "log" / "events.duckdb", memory="1GB") as made:
        yield made


@pytest.fixture
def load(store, tmp_path):
    """Write a file with the given content and import it."""
    written = iter(range(1000))

    def write_and_import(content, name=None, zone="UTC", **options):
        path = tmp_path / (name or f"file{next(written)}.csv")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return import_files(store, [path], calendar=Calendar(zone), **options)

    return write_and_import


def rows_of(store, *columns):
    wanted = ", ".join(f'"{c}"' for c in columns)
    return store.rows(
        f"SELECT user_id, epoch_us(time), event{', ' if wanted else ''}{wanted} FROM events JOIN users USING (user_key)"
        " ORDER BY user_key, time, events.rowid"
    )
