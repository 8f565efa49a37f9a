"""An object store with the part of the S3 API that a broker needs: conditional writes, reads and lists.

It keeps what was written while the broker that wrote it is killed.
"""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

WRITTEN: Final = "Thu, 01 Jan 2026 00:00:00 GMT"
KEYS: Final = re.compile(rb"<Key>(.*?)</Key>")


class StoredObject(NamedTuple):
    body: bytes
    tag: str


class _Bucket(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, StoredObject] = {}
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Bucket

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        new = StoredObject(body, f'"{hashlib.sha256(body).hexdigest()}"')
        with self.server.lock:
            old = self.server.objects.get(self._key)
            expected = self.headers.get("If-Match")
            is_taken = self.headers.get("If-None-Match") == "*" and old is not None
            is_changed = expected is not None and (old is None or old.tag != expected)
            if not (is_taken or is_changed):
                self.server.objects[self._key] = new
        self._reply(HTTPStatus.PRECONDITION_FAILED if is_taken or is_changed else HTTPStatus.OK, b"", ETag=new.tag)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self._list(query.get("prefix", [""])[0], query.get("delimiter", [""])[0])
            return
        with self.server.lock:
            stored = self.server.objects.get(self._key)
        if stored is None:
            self._reply(HTTPStatus.NOT_FOUND, b"")
        elif self.headers.get("If-None-Match") == stored.tag:
            self._reply(HTTPStatus.NOT_MODIFIED, b"", ETag=stored.tag)
        else:
            self._reply(HTTPStatus.OK, stored.body, ETag=stored.tag)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        with self.server.lock:
            self.server.objects.pop(self._key, None)
        self._reply(HTTPStatus.NO_CONTENT, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            for key in KEYS.findall(body):
                self.server.objects.pop(key.decode(), None)
        self._reply(HTTPStatus.OK, b"<DeleteResult></DeleteResult>")

    def handle(self) -> None:
        """Answer until the broker ends the connection, which it also does by being killed."""
        with suppress(ConnectionError):
            super().handle()

    @property
    def _key(self) -> str:
        """The path below the bucket."""
        return unquote(urlsplit(self.path).path).split("/", 2)[-1]

    def _list(self, prefix: str, delimiter: str) -> None:
        with self.server.lock:
            below = sorted((key, stored) for key, stored in self.server.objects.items() if key.startswith(prefix))
        folders, parts = set[str](), list[str]()
        for key, stored in below:
            head, separator, _ = key.removeprefix(prefix).partition(delimiter or "\0")
            if separator:
                folders.add(prefix + head + separator)
            else:
                tag, size = escape(stored.tag), len(stored.body)
                parts.append(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                    f"<ETag>{tag}</ETag><Size>{size}</Size></Contents>"
                )
        parts += [f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders)]
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(parts)}</ListBucketResult>"
        self._reply(HTTPStatus.OK, text.encode())

    def _reply(self, status: HTTPStatus, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Last-Modified": WRITTEN, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Tests say themselves what went wrong."""


@contextmanager
def object_store() -> Iterator[str]:
    with _Bucket() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
