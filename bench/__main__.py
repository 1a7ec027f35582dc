"""Every measurement in one table: `python -m bench`. Each has a process of its own, and so a peak of its own."""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from bench import cluster, operating, provisioning, reconcile, services, sweep
from bench.report import print_rows

MEASUREMENTS = (reconcile, operating, cluster, sweep, provisioning, services)


def main() -> int:
    """Measure one after the other; 1 where something is missed."""
    rows = []
    for measurement in MEASUREMENTS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            rows += process.submit(measurement.run).result()
    print_rows(rows)
    return int(not all(row.passed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
