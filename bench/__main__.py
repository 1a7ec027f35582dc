"""Every measurement, in one table: `python -m bench`."""

import sys

from bench import cluster, operating, provisioning, reconcile, services, sweep
from bench.report import print_rows

if __name__ == "__main__":
    rows = [
        *reconcile.run(),
        *operating.run(),
        *cluster.run(),
        *sweep.run(),
        *provisioning.run(),
        *services.run(),
    ]
    print_rows(rows)
    sys.exit(not all(row.passed for row in rows))
