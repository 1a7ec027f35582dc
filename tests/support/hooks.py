"""What may a test do within the operator's process? Python for `OperatorProcess(before=...)`."""

SHORT_LEASES = """
from datetime import timedelta
from controller.engine import loop
from controller.maildb import connecting, fence
fence.LEASE, connecting.IDLE_SECONDS, loop.RENEWAL, loop.TURN = timedelta(seconds=3), 3, 1.0, 0.5
"""
"""Leases of three seconds, so that a test need not wait for fifteen."""

PAUSES_BEFORE_IT_WRITES = """
import os, sys, time
from controller.maildb.database import MailDatabase
write = MailDatabase.write
def slowly(self, changes, **options):
    if os.path.exists(os.environ["ARMED"]):
        print("about to write", file=sys.stderr, flush=True)
        time.sleep(2)
    return write(self, changes, **options)
MailDatabase.write = slowly
"""
"""A write takes two seconds, and says so before, while the file that ARMED names is there."""

PAUSES_WITHIN_ITS_TRANSACTION = """
import os, sys, time
from controller.maildb import writing
recheck = writing.recheck
def slowly(*arguments):
    found = recheck(*arguments)
    if os.path.exists(os.environ["ARMED"]):
        print("about to write", file=sys.stderr, flush=True)
        time.sleep(2)
    return found
writing.recheck = slowly
"""
"""The same, once the transaction has locked the fence."""

WITHOUT_THE_EPOCH_CHECK = """
from controller.maildb import fence
fence.enter = lambda connection, own, writer, epoch: fence._lock(connection, own, writer)
"""

IMPATIENT = """
from controller.cluster import cluster
from controller.engine import loop, reign
from controller.operator import probes, watching
loop.OUTAGE, loop.LONGEST_PAUSE, reign.SECRETS = 1.0, 1.0, 1.0
cluster.TIMEOUT, cluster.PAUSES, probes.LONGEST_TURN = 3.0, (0.2, 0.4), 8.0
# An API server that has just started refuses everybody for a moment; all attempts are made within one watch.
watching.BACKOFFS, watch = (0.2, 0.6, 1.4, 3.0), 8
patient = watching._settings
def settings():
    found = patient()
    found.watching.inactivity_timeout = watch
    return found
watching._settings = settings
"""
"""Seconds in place of minutes, wherever something that is away is waited for."""

LISTS_OFTEN = """
import os, threading, time
from controller.engine import inventory, news
usual = inventory.RELIST, inventory.DEAF_AFTER, news.DEAF_AFTER
def choose():
    while True:
        often = os.path.exists(os.environ["OFTEN"])
        inventory.RELIST, inventory.DEAF_AFTER, news.DEAF_AFTER = (1.0, 1.0, 4.0) if often else usual
        time.sleep(0.1)
threading.Thread(target=choose, daemon=True).start()
"""
"""While the file that OFTEN names is there, everything is listed each second, and a watch is deaf after four."""

A_CLOCK_OF_ITS_OWN = """
import datetime, os, time
real = time.time
def shifted():
    with open(os.environ["SHIFT"]) as file:
        return real() + float(file.read() or 0)
time.time = shifted
from controller.engine import loop
loop._utc = lambda: datetime.datetime.fromtimestamp(shifted(), datetime.UTC)
"""
"""The wall clock is as many seconds off as the file that SHIFT names says."""
