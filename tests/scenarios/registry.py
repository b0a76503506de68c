"""A registry on this host that knows the name of every image and has none of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self):
        is_greeting = self.path == "/v2/"
        unknown = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        body = json.dumps({} if is_greeting else unknown).encode()
        self.send_response(200 if is_greeting else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - as inherited

    def log_message(self, *_):
        """Say nothing; a test looks at what the engine makes of it."""


@contextmanager
def empty_registry(port: int) -> Iterator[str]:
    """Serve, and give the address before the name of an image."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Empty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
