#!/usr/bin/env python3
"""Names of Hugging Face: hf.co and huggingface.co, with the files of a split model. A proxy on the loopback interface
stands in for the hub: it answers for both names, refuses manifests of split models in the hub's words, lists files, and
redirects downloads to another host name with ranges."""
import contextlib
import hashlib
import http.server
import json
import re
import threading
import urllib.parse

from gguf_file import GgufFile
from puna_server import ROOT, Server, contains, equal, main

MINI = ROOT / "models" / "mini.gguf"
GREEDY = {"temperature": 0, "num_predict": 16}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Hub:
    """`files`: {path in the repository: bytes}; `asked`: URLs in order."""

    def __init__(self):
        hub = self
        self.files, self.asked = {}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_GET(self):
                hub.asked.append(self.path)
                url = urllib.parse.urlsplit(self.path)
                if url.hostname == "files.hub.test":
                    return self.send_file(hub.files[urllib.parse.unquote(url.path[1:])])
                if url.hostname not in ("hf.co", "huggingface.co"):
                    return self.reply(404)
                if "/somebody/once_" in url.path:  # a repository that has another name now
                    return self.reply(307, Location=self.path.split(url.hostname, 1)[1].replace("/once_", "/"))
                manifest = re.fullmatch(r"/v2/somebody/(\w+)/manifests/(.+)", url.path)
                if manifest:
                    return self.manifest(*manifest.groups())
                blob = re.fullmatch(r"/v2/somebody/\w+/blobs/(sha256:\w+)", url.path)
                if blob:
                    name = next(name for name, data in hub.files.items() if digest(data) == blob[1])
                    return self.reply(307, Location="http://files.hub.test/" + urllib.parse.quote(name))
                if url.path == "/api/models/somebody/split/tree/main":
                    listing = [{"type": "file", "path": name, "size": len(data), "lfs": {"oid": digest(data)[7:]}}
                               for name, data in hub.files.items() if "-of-" in name]
                    return self.reply(200, json.dumps(listing + [{"type": "directory", "path": "Q8_0"}]).encode())
                file = re.fullmatch(r"/somebody/split/resolve/main/(.+)", url.path)
                if file:
                    return self.reply(302, Location="http://files.hub.test/" + file[1])
                return self.reply(404)

            do_HEAD = do_GET

            def manifest(self, repository, _):
                if repository == "split":
                    return self.reply(400, b'{"error":"The specified tag is a sharded GGUF. Ollama does not support this yet."}')
                weights, config = hub.files["whole.gguf"], b'{"model_format":"gguf","model_family":"llama"}'
                hub.files["config"] = config
                return self.reply(200, json.dumps({
                    "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                    "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest(config), "size": len(config)},
                    "layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": digest(weights), "size": len(weights)}],
                }).encode())

            def send_file(self, data):
                asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                if not asked:
                    return self.reply(200, data, Accept_Ranges="bytes")
                begin, end = int(asked[1]), int(asked[2] or len(data) - 1)
                return self.reply(206, data[begin:end + 1], Content_Range=f"bytes {begin}-{end}/{len(data)}")

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextlib.contextmanager
def server_and_hub(build):
    hub = Hub()
    hub.files["whole.gguf"] = MINI.read_bytes()
    with Server(build, HTTP_PROXY=hub.url, http_proxy=hub.url) as server:
        gguf = GgufFile.read(MINI)
        names = list(gguf.tensors)
        for i in range(3):
            part = GgufFile(gguf.keys if i == 0 else {}, {name: gguf.tensors[name] for name in names[i::3]})
            part.keys.update({"split.no": (2, i), "split.count": (2, 3), "split.tensors.count": (5, len(names))})
            part.write(server.folder / "part")
            hub.files[f"Q8_0/mini-Q8_0-{i + 1:05}-of-00003.gguf"] = (server.folder / "part").read_bytes()
        hub.files["mini-Q4_0-00001-of-00002.gguf"] = b"one of two"
        server.hub = hub
        yield server


def answer(server, model):
    reply = server.post("/api/generate", {"model": model, "prompt": "Tell me a story", "stream": False, "options": GREEDY})
    equal(200, reply.status, reply.body)
    return reply.json()["response"]


def pull(server, name):
    code, out, err = server.run("pull", "--insecure", name)
    equal(0, code, out + err)
    return err


def one_file(server):
    for host in ("hf.co", "huggingface.co"):
        name = f"{host}/somebody/small:Q8_0"
        pull(server, name)
        equal(answer(server, "mini"), answer(server, name))
        contains(name, server.run("list")[1])


def split_files(server):
    name = "hf.co/somebody/split:Q8_0"
    pull(server, name)
    equal(answer(server, "mini"), answer(server, name))
    contains(name, server.run("list")[1])
    fetched = {path.rsplit("/", 1)[1] for path in server.hub.asked if "files.hub.test/Q8_0" in path}
    equal({f"mini-Q8_0-{i:05}-of-00003.gguf" for i in (1, 2, 3)}, fetched)
    equal(0, server.run("verify")[0])


def without_tag(server):
    """The hub chooses among whole files; of split ones puna does, among those that are complete."""
    for repository in ("small", "split"):
        server.hub.asked.clear()
        pull(server, f"hf.co/somebody/{repository}")
        contains(f"http://hf.co/v2/somebody/{repository}/manifests/latest", server.hub.asked)
        equal(answer(server, "mini"), answer(server, f"hf.co/somebody/{repository}"))
        contains(f"hf.co/somebody/{repository}:latest", server.run("list")[1])


def sets_that_are_not_whole(server):
    code, _, err = server.run("pull", "--insecure", "hf.co/somebody/split:Q4_0")
    equal(1, code)
    contains('no complete set of GGUF files is named "Q4_0"', err)
    equal(404, server.post("/api/show", {"model": "hf.co/somebody/split:Q4_0"}).status)


def other_names(server):
    """A repository that was renamed is found under its old name."""
    for repository in ("small", "split"):
        name = f"hf.co/somebody/once_{repository}:Q8_0"
        pull(server, name)
        equal(answer(server, "mini"), answer(server, name))


if __name__ == "__main__":
    main((server_and_hub, (one_file, split_files, without_tag, sets_that_are_not_whole, other_names)))
