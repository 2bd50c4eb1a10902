"""The timings of the course as one table: `make bench`.

    python -m benchmarks.all [--record]

On a quiet machine it takes about ten minutes. What a training reaches (smears.py, bccd.py), what it holds in memory
(memory.py), detection (detection.py), the six ways (six_ways.py), several devices (devices.py) and a GPU (gpu.py) have
tables of their own.
`--record` writes data/recorded/speed.json, which the lesson on keeping the GPU busy shows.
"""

import argparse
import datetime
import os

from benchmarks import dataset, loss, step
from benchmarks.table import head, machine, show
from yolo_helpers.anchors import DATA
from yolo_helpers.files import write_json

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write data/recorded/speed.json")
    options = parser.parse_args()
    print(head())
    rows = [cells for part in (dataset, step, loss) for cells in show(part.measure())]
    if options.record:
        record = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": machine(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "command": "python -m benchmarks.all --record",
            "columns": ["what", "ours: median (least to most)", "unit", "yardstick", "ratio", "floor"],
            "rows": rows,
        }
        write_json(DATA / "recorded" / "speed.json", record)
