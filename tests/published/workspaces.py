"""A workspace from a table, through the public verb: what a user does who has a file."""

from pathlib import Path

import pandas as pd

from upswing import Workspace


def import_table(folder: Path, table: pd.DataFrame, *, timezone: str = "UTC", **columns: str) -> Workspace:
    """Write `table` as Parquet, import all of it into a new workspace, and check that no row was lost.

    Args:
        folder: a folder of the test's own.
        table: one row per event.
        timezone: zone of the workspace.
        columns: names of the columns `user`, `time` and `event`, or `event_name` where the file holds one kind of event.
    """
    file = folder / "events.parquet"
    table.to_parquet(file, index=False)
    workspace = Workspace.create(folder / "workspace", timezone=timezone)
    summary = workspace.import_events([file], **columns)
    assert summary.rows_added == len(table)
    assert summary.rows_quarantined == 0
    return workspace
