"""A model hub on this machine: the part of the hub's protocol that a download speaks.

It serves /<repository>/resolve/<revision>/<file> and plain paths, with the headers that the hub's
client reads, with ranges, with gated repositories; and it can hang up in the middle of a file.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """What is served, and what was asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gated: set[str] = set()
        self.hang_ups: list[int] = []
        """For the next answers of more than a hundred thousand bytes: after how many it ends."""
        self.requests: list[tuple[str, str, str | None]] = []
        """Method, path and range."""
        self.address = ""

    def put(self, path: str, data: bytes) -> str:
        """Serve bytes under a path; the answer is their SHA-256."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def ranges(self, name: str) -> list[str | None]:
        """The ranges that were asked of a file, in order."""
        return [asked for method, path, asked in self.requests if method == "GET" and name in path]


@contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """A hub that runs within the block."""
    hub = Hub(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = unquote(self.path.partition("?")[0]).lstrip("/")
            hub.requests.append((self.command, path, self.headers.get("Range")))
            found = re.fullmatch(r"(.+)/resolve/([^/]+)/(.+)", path)
            if found and found[1] in hub.gated:
                return self.refuse(401, "GatedRepo", "Access to this model is restricted")
            file = hub.root / (f"{found[1]}/{found[3]}" if found else path)
            if not file.is_file():
                known = not found or (hub.root / found[1]).is_dir()
                code = "EntryNotFound" if known else "RepoNotFound"
                return self.refuse(404, code, "Entry not found")
            data = file.read_bytes()
            start, stop = 0, len(data)
            if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
                start = int(asked[1])
                stop = int(asked[2]) + 1 if asked[2] else stop
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(stop - start))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Type", "application/octet-stream")
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
            self.end_headers()
            if body:
                self.send(data[start:stop])

        def send(self, data: bytes) -> None:
            if hub.hang_ups and len(data) > 100_000:
                self.wfile.write(data[: hub.hang_ups.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(data)

        def refuse(self, status: int, code: str, message: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", message)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
