#!/usr/bin/env python3
"""Registries that lie, through the program: each lie ends in one clear error, soon, with nothing listed, nothing of it in
the store and little memory taken. The registry is a few lines on a bare socket, so that it can say what no HTTP library would."""
import contextlib
import hashlib
import json
import re
import socket
import threading

from puna_server import Server, contains, equal, main

WEIGHTS = b"weights " * 20000
CONFIG = b'{"model_format":"gguf"}'
MEMORY_LIMIT_BYTES = 200 << 20  # more than the server has at its start: buffers, threads
TYPES = {"config": "application/vnd.docker.container.image.v1+json", "layer": "application/vnd.ollama.image.model"}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def manifest(**changes):
    """Of a model of two blobs; `changes` are of the layer that holds the weights."""
    layer = {"mediaType": TYPES["layer"], "digest": digest(WEIGHTS), "size": len(WEIGHTS), **changes}
    return {"schemaVersion": 2, "config": {"mediaType": TYPES["config"], "digest": digest(CONFIG), "size": len(CONFIG)},
            "layers": [layer]}


class Liar:
    """Answers with what `manifest` and `blob` are at the time: bytes, or an iterator of them, which go out as they are."""

    def __init__(self):
        self.manifest = self.blob = None
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            with contextlib.suppress(OSError):
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(60)
            pending = b""
            while b"\r\n\r\n" not in pending:
                piece = connection.recv(65536)
                if not piece:
                    return
                pending += piece
            head = pending.decode("latin1")
            asked = re.search(r"\r\nRange: bytes=(\d+)-(\d+)", head)
            begin, end = (int(asked[1]), int(asked[2])) if asked else (None, None)
            answer = self.manifest if "/manifests/" in head.split("\r\n")[0] else self.blob_of(head)
            for piece in answer(begin, end):
                connection.sendall(piece)

    def blob_of(self, head):
        return (lambda begin, end: ranged(CONFIG, begin, end)) if digest(CONFIG) in head.split("\r\n")[0] else self.blob


def head(status, **fields):
    lines = [f"HTTP/1.1 {status}", "Connection: close", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin1")


def ranged(data, begin, end, total=None, shift=0, length=None):
    """What an honest server sends, or one that lies about the size of the whole, about where the bytes are from, or about
    how many come."""
    if begin is None:
        return [head("200 OK", Content_Length=len(data) if length is None else length), data]
    part = data[begin:end + 1]
    return [head("206 Partial Content", Content_Length=len(part) if length is None else length,
                 Content_Range=f"bytes {begin + shift}-{begin + shift + len(part) - 1}/{len(data) if total is None else total}"), part]


def whole(body, **fields):
    return lambda begin, end: [head("200 OK", Content_Length=len(body), **fields), body]


def document(value):
    return whole(json.dumps(value).encode() if isinstance(value, dict) else value)


def endless(first, piece):
    def answer(_begin, _end):
        yield first
        while True:
            yield piece
    return answer


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def honest(begin, end):
    return ranged(WEIGHTS, begin, end)


MIB = b" " * (1 << 20)
CHUNKED = {"Transfer_Encoding": "chunked"}
HEX = "a" * 64

# What it is, the manifest, the blob, what the error says.
LIES = [
    ("a manifest of 1 GB", endless(head("200 OK", Content_Length=1 << 30), MIB), honest, "longer than"),
    ("a manifest without end", endless(head("200 OK"), MIB), honest, "longer than"),
    ("chunks without end", endless(head("200 OK", **CHUNKED), chunk(MIB)), honest, "longer than"),
    ("one chunk of 2^60 bytes", endless(head("200 OK", **CHUNKED) + b"1000000000000000\r\n", MIB), honest, "longer than"),
    ("headers without end", endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"), honest, "header"),
    ("a header without end", endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65536), honest, "header"),
    ("no HTTP", endless(b"", b"220 ftp ready\r\n"), honest, "HTTP"),
    ("a manifest that is empty", document(b""), honest, "not a JSON object"),
    ("a page", document(b"<html>Sign in</html>"), honest, "not a JSON object"),
    ("nesting", document(b'{"layers":' + b"[" * 1000000), honest, "not a JSON object"),
    ("a list of manifests", document({"schemaVersion": 2, "manifests": []}), honest, '"config" is missing'),
    ("no layers", document({**manifest(), "layers": []}), honest, "it has no weights"),
    ("another's layers", document(manifest(mediaType="application/vnd.docker.image.rootfs.diff.tar.gzip")), honest, "it has layers of type"),
    ("layers without number", document({**manifest(), "layers": manifest()["layers"] * 15000}), honest, "layers"),
    ("a digest that is a path", document(manifest(digest="sha256:../../../../tmp/puna-was-here")), honest, "64 hexadecimal digits"),
    ("a digest of 64 dots", document(manifest(digest="sha256:" + "../" * 21 + "a")), honest, "64 hexadecimal digits"),
    ("an absolute digest", document(manifest(digest="/etc/passwd")), honest, "64 hexadecimal digits"),
    ("another hash", document(manifest(digest="sha512:" + HEX * 2)), honest, "64 hexadecimal digits"),
    ("a negative size", document(manifest(size=-1)), honest, '"size" is no number of bytes'),
    ("half a byte", document(manifest(size=1.5)), honest, '"size" is no number of bytes'),
    ("a size beyond 64 bits", document(manifest(size=10 ** 30)), honest, '"size" is no number of bytes'),
    ("8 EiB", document(manifest(size=2 ** 63 - 1)), honest, "has only"),
    ("a size that is too small", document(manifest(size=len(WEIGHTS) - 1)), honest, "expected are"),
    ("a size that is too large", document(manifest(size=len(WEIGHTS) + 1)), honest, "expected are"),
    ("no size", document(manifest(size=0)), honest, "expected are"),
    ("other bytes", document(manifest()), lambda b, e: ranged(WEIGHTS.replace(b"w", b"v"), b, e), "digest mismatch"),
    ("other bytes, whole", document(manifest()), whole(WEIGHTS.replace(b"w", b"v")), "digest mismatch"),
    ("a whole without end", document(manifest()), endless(head("200 OK"), MIB), "digest mismatch"),
    ("a whole in chunks without end", document(manifest()), endless(head("200 OK", **CHUNKED), chunk(MIB)), "digest mismatch"),
    ("a range without end", document(manifest()),
     endless(head("206 Partial Content", Content_Range=f"bytes 0-1/{len(WEIGHTS)}"), MIB), "digest mismatch"),
    ("compressed", document(manifest()), whole(WEIGHTS[::-1], Content_Encoding="gzip"), "digest mismatch"),
    ("another whole", document(manifest()), lambda b, e: ranged(WEIGHTS, b, e, total=2 ** 50), "expected are"),
    ("a whole of 4 EiB", document(manifest()), lambda b, e: ranged(WEIGHTS, b, e, total=2 ** 62), "asked for the bytes from"),
    ("from elsewhere", document(manifest()), lambda b, e: ranged(WEIGHTS, b, e, shift=7), "asked for the bytes from"),
    ("ranges beyond 64 bits", document(manifest()), lambda b, e: ranged(WEIGHTS, b, e, shift=10 ** 30), "asked for the bytes from"),
    ("a range without saying which", document(manifest()),
     lambda b, e: [head("206 Partial Content", Content_Length=2), b"we"], "asked for the bytes from"),
    ("a page for a blob", document(manifest()), whole(b"<html>Sign in</html>"), "expected are"),
    ("a file", document(manifest()), lambda *_: [head("307 Go", Location="file:///etc/passwd", Content_Length=0)], "refused"),
    ("a file of this program", document(manifest()), lambda *_: [head("307 Go", Location="file://localhost/proc/self/environ",
                                                                      Content_Length=0)], "refused"),
    ("a loop", document(manifest()), lambda *_: [head("307 Go", Location="?round", Content_Length=0)], "redirects"),
    ("redirects to nothing", document(manifest()), lambda *_: [head("307 Go", Location="", Content_Length=0)], "307"),
    ("the cloud's secrets", document(manifest()),
     lambda *_: [head("307 Go", Location="http://169.254.169.254/latest/meta-data", Content_Length=0)], "refused"),
    ("a manifest that is a file", lambda *_: [head("307 Go", Location="file:///etc/passwd", Content_Length=0)], honest, "refused"),
    ("a manifest in a loop", lambda *_: [head("307 Go", Location="?round", Content_Length=0)], honest, "redirects"),
    ("a token from elsewhere",
     lambda *_: [head("401 Who", WWW_Authenticate='Bearer realm="http://192.0.2.1/token",service="s"', Content_Length=0)],
     honest, "another host"),
    ("a token from a file",
     lambda *_: [head("401 Who", WWW_Authenticate='Bearer realm="file:///etc/passwd",service="s"', Content_Length=0)],
     honest, ""),
    ("no blobs", document(manifest()), lambda *_: [head("404 No", Content_Length=0)], "404"),
    ("an error without end", endless(head("500 No"), MIB), honest, ""),
]


@contextlib.contextmanager
def server_and_liar(build):
    with Server(build) as server:
        server.liar = Liar()
        server.memory = memory_of(server)
        yield server


def memory_of(server):
    """The most that the server ever had."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) << 10


def test_of(what, manifest_answer, blob_answer, expected):
    def test(server):
        server.liar.manifest, server.liar.blob = manifest_answer, blob_answer
        code, _, err = server.run("pull", "--insecure", f"127.0.0.1:{server.liar.port}/library/model")
        equal(1, code, err)
        errors = [line for line in err.splitlines() if line.startswith("Error: ")]
        equal(1, len(errors), err)
        contains(expected, errors[0])
        equal(True, len(errors[0]) < 600, errors[0])
        equal(1, len(server.request("GET", "/api/tags").json()["models"]), "listed")
        known = {f"sha256-{digest(data)[7:]}{end}" for data in (WEIGHTS, CONFIG) for end in ("", "-partial", "-partial-state")}
        equal(set(), {path.name for path in (server.folder / "models" / "blobs").glob("*")} - known, "in the store")
        equal(True, memory_of(server) < server.memory + MEMORY_LIMIT_BYTES, f"memory: {memory_of(server)}")

    test.__name__ = re.sub(r"\W+", "_", what)
    return test


def the_truth(server):
    """That all this is refused for what it is: the same registry, honest."""
    server.liar.manifest, server.liar.blob = document(manifest()), honest
    name = f"127.0.0.1:{server.liar.port}/library/model"
    code, _, err = server.run("pull", "--insecure", name)
    equal(0, code, err)
    contains(name, server.run("list")[1])


if __name__ == "__main__":
    main((server_and_liar, (*(test_of(*lie) for lie in LIES), the_truth)))
