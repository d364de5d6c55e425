"""The funnel without a window in retentioneering, in its own Python: ``PYTHON bench/retentioneering_peer.py FILE``.

It stands apart because it wants versions of its own. `python -m bench` runs it where RETENTIONEERING_PYTHON names the
Python of an environment that has it; one line of JSON comes back.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main(parquet: str, steps: list[str]) -> None:
    os.environ["DO_NOT_TRACK"] = "1"
    import pyarrow.parquet as pq
    from retentioneering.eventstream import Eventstream

    frame = pq.read_table(parquet, columns=["user", "time", "event"]).to_pandas()
    frame.columns = ["user_id", "timestamp", "event"]
    begun = time.perf_counter()
    stream = Eventstream(frame)
    prepared = time.perf_counter() - begun
    best, answer = float("inf"), []
    for _ in range(3):
        begun = time.perf_counter()
        answer = [s["unique_paths"] for s in stream.funnel_data(steps)["steps"]]
        best = min(best, time.perf_counter() - begun)
    print(json.dumps({"prepare": prepared, "seconds": best, "answer": answer}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
