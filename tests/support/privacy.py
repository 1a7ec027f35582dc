"""Who was given away? What no log, event, status, metric or error report may hold, and where reports arrive."""

import gzip
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SUB = "sub-of-"
"""How the subject of each person of a test begins who has one."""

KEY = "e2e-key-that-must-not-be-seen"
"""Of the entitlement service, in the end-to-end layer."""

_EMAIL = re.compile(r"[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")


def revealed(text: str, *keys: str) -> list[str]:
    """Every e-mail, subject and key in a text, of `keys` as well; the masked ones are none."""
    return [*_EMAIL.findall(text), *(word for word in (SUB, KEY, *keys) if word in text)]


class Inbox:
    """What a service of error reports was sent, as it came over the wire."""

    def __init__(self, port: int) -> None:
        self.dsn = f"http://public@127.0.0.1:{port}/7"
        self.reports: list[str] = []


@contextmanager
def inbox() -> Iterator[Inbox]:
    """A service of error reports on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            encoded = self.headers.get("Content-Encoding") == "gzip"
            arrived.reports.append(str(self.headers) + (gzip.decompress(body) if encoded else body).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named by its base
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    arrived = Inbox(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield arrived
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
