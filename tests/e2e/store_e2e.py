#!/usr/bin/env python3
"""The store of models when programs are killed in the middle of changing it, and when several change it at once. Prints
"ok NAME", "fail NAME: why" or "skip NAME: why" (see tests/run.py)."""
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

from puna_server import ROOT, Server, contains, equal, main, soon

KILLS = 200 if os.environ.get("PUNA_TEST_ALL") else 12
CHUNK = 256 << 10


class Registry:
    """Models that share layers, served by this process slowly enough to be interrupted."""

    def __init__(self):
        self.blobs = {}
        self.manifests = {}
        weights = (ROOT / "models" / "mini.gguf").read_bytes()
        for i in range(3):
            self.add_model(f"model{i}", weights + bytes([i]) * (1 << 20), f"You are number {i}.")
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self.server.server_port}"

    def add_blob(self, content, media_type):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.blobs[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def add_model(self, name, weights, system):
        config = json.dumps({"model_format": "gguf", "model_family": "llama", "name": name}).encode()
        self.manifests[name] = json.dumps({
            "schemaVersion": 2,
            "config": self.add_blob(config, "application/vnd.docker.container.image.v1+json"),
            "layers": [self.add_blob(weights, "application/vnd.ollama.image.model"),
                       self.add_blob(system.encode(), "application/vnd.ollama.image.system")]}).encode()

    def answer(self, request):
        kind, name = request.path.split("/")[-2:]
        body = self.manifests.get(request.path.split("/")[3]) if kind == "manifests" else self.blobs.get(name)
        begin, end = 0, len(body or b"") - 1
        wanted = request.headers.get("Range")
        if wanted and body:
            begin, end = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
            end = min(end, len(body) - 1)
        request.send_response(404 if body is None else 206 if wanted else 200)
        if wanted and body:
            request.send_header("Content-Range", f"bytes {begin}-{end}/{len(body)}")
        request.send_header("Content-Length", str(end - begin + 1))
        request.end_headers()
        with contextlib.suppress(OSError):
            for at in range(begin, end + 1, CHUNK):
                request.wfile.write(body[at:min(at + CHUNK, end + 1)])
                time.sleep(0.002)


class Fixture:
    def __init__(self, build):
        self.build = build
        self.registry = Registry()
        self.server = Server(build)
        self.models = self.server.folder / "models"
        self.rng = random.Random(20)
        self.modelfiles = 0

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.registry.server.shutdown()
        self.server.__exit__(*failure)

    def log_text(self):
        return self.server.log_text()

    def name(self, number):
        return f"{self.registry.host}/library/model{number}"


def broken_models(models):
    """What is wrong with the listed models, judged without puna."""
    wrong = []
    for manifest in (models / "manifests").glob("*/*/*/*"):
        if manifest.name.startswith("."):
            continue
        content = json.loads(manifest.read_bytes())
        for layer in [content["config"], *content["layers"]]:
            blob = models / "blobs" / layer["digest"].replace(":", "-")
            if not blob.exists():
                wrong.append(f"{manifest}: {blob.name} is missing")
            elif hashlib.sha256(blob.read_bytes()).hexdigest() != layer["digest"][7:]:
                wrong.append(f"{manifest}: {blob.name} has wrong bytes")
    return wrong


def attempt(server, *arguments):
    """A command that may be killed, or whose server may."""
    return subprocess.Popen([server.puna, *arguments], env=server.env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def operations(fixture):
    """Commands that run at once, chosen at random."""
    rng = fixture.rng
    number = rng.randrange(3)
    # A file of its own: a command that still runs may be reading an earlier one.
    fixture.modelfiles += 1
    modelfile = fixture.server.folder / f"Modelfile{fixture.modelfiles}"
    modelfile.write_text(f"FROM {rng.choice(['mini', fixture.name(number), 'copy0'])}\nSYSTEM {rng.random()}\n")
    choices = [("pull", "--insecure", fixture.name(number)), ("pull", "--insecure", fixture.name(rng.randrange(3))),
               ("create", f"made{rng.randrange(2)}", "-f", str(modelfile)),
               ("cp", fixture.name(number), f"copy{rng.randrange(2)}"), ("rm", fixture.name(number)),
               ("rm", f"copy{rng.randrange(2)}"), ("rm", f"made{rng.randrange(2)}"), ("prune", "--all")]
    return rng.sample(choices, 4)


def killed_at_any_time(fixture):
    """kill -9 of the server and of all commands, again and again: every listed model stays whole."""
    server = fixture.server
    for i in range(KILLS):
        running = [attempt(server, *operation) for operation in operations(fixture)]
        time.sleep(fixture.rng.random() * 0.4)
        server.process.send_signal(signal.SIGKILL)
        for process in running:
            process.kill()
        for process in [server.process, *running]:
            process.wait()
        equal([], broken_models(fixture.models), f"after kill {i}:")
        server.restart()
    code, out, err = server.run("verify")
    equal(0, code, out + err)
    # Nobody is left who holds anything, and what was begun can be ended.
    code, out, err = server.run("pull", "--insecure", fixture.name(0))
    equal(0, code, err)
    code, out, err = server.run("prune", "--all")
    equal(0, code, err)
    equal([], [path.name for path in (fixture.models / "blobs").iterdir() if "partial" in path.name or "tmp" in path.name])
    equal([], list((fixture.models / "puna-pins").iterdir()))


def processes_share_a_store(fixture):
    """Two servers and commands of both at the same folder, nobody killed: nothing breaks and nothing is in the way."""
    with Server(fixture.build) as other:
        other.env["PUNA_MODELS"] = str(fixture.models)
        other.stop()
        other.restart()
        for _ in range(6):
            running = []
            for server in (fixture.server, other):
                for operation in operations(fixture):
                    running.append(subprocess.Popen([server.puna, *operation], env=server.env, stdin=subprocess.DEVNULL,
                                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
            for process in running:
                out, _ = process.communicate(timeout=120)
                text = out.decode(errors="replace")
                if process.returncode != 0:
                    # A model may have been deleted by another, and nothing else may fail.
                    equal(True, any(part in text for part in ("not found", "neither an installed model nor", "is missing", "No such file")), text)
            equal([], broken_models(fixture.models))
        names = [{model["name"] for model in server.request("GET", "/api/tags").json()["models"]}
                 for server in (fixture.server, other)]
        equal(names[0], names[1])


def verify_and_usage(fixture):
    server = fixture.server
    code, _, err = server.run("pull", "--insecure", fixture.name(1))
    equal(0, code, err)
    rows = [json.loads(line) for line in server.run("du", "--json")[1].splitlines()]
    equal(True, any("model1" in row.get("model", "") for row in rows), rows)
    code, out, err = server.run("verify", "--json")
    equal((0, [{"folder": str(fixture.models), "problems": 0}]), (code, [json.loads(line) for line in out.splitlines()]), err)
    blob = next(path for path in (fixture.models / "blobs").iterdir()
                if fixture.registry.blobs.get(path.name.replace("-", ":")) is not None and path.stat().st_size > CHUNK)
    with open(blob, "r+b") as file:
        file.seek(4321)
        file.write(b"\xff\xfe")
    code, out, err = server.run("verify", "--json")
    equal(1, code)
    problem, total = [json.loads(line) for line in out.splitlines()]
    equal(1, total["problems"])
    equal("sha256:" + blob.name[7:], problem["digest"])
    contains("digest", problem["problem"])
    contains("not as they should be", err)
    # Pulling does not look into what is there; after deleting the bad file it is fetched again.
    blob.unlink()
    for model, manifest in fixture.registry.manifests.items():
        if problem["digest"] in manifest.decode():
            equal(0, server.run("pull", "--insecure", f"{fixture.registry.host}/library/{model}")[0])
    equal(0, server.run("verify")[0])


MINI = (ROOT / "models" / "mini.gguf").read_bytes()


def create(server, name, weights=MINI):
    """A model of these weights, which also another name may have; the path of its blob."""
    digest = hashlib.sha256(weights).hexdigest()
    server.request("POST", f"/api/blobs/sha256:{digest}", weights)
    reply = server.post("/api/create", {"model": name, "files": {"m.gguf": f"sha256:{digest}"}})
    equal("success", reply.lines()[-1]["status"])
    return server.folder / "models" / "blobs" / f"sha256-{digest}"


def answer(server, name):
    return server.post("/api/generate", {"model": name, "prompt": "Why is the sky blue?", "stream": False, "keep_alive": -1,
                                         "options": {"num_predict": 8, "temperature": 0}}).json()["response"]


def loaded(server):
    return sorted(model["name"].removesuffix(":latest") for model in server.request("GET", "/api/ps").json()["models"])


def repaired_files_are_read(server):
    """A damaged model answers from the repaired file as soon as that is there."""
    blob = create(server, "m")
    good = answer(server, "m")
    damaged, repaired = server.folder / "damaged", server.folder / "repaired"
    damaged.write_bytes(MINI[:-(2 << 20)] + bytes(2 << 20))
    repaired.write_bytes(MINI)
    os.replace(damaged, blob)
    equal(False, answer(server, "m") == good)
    os.replace(repaired, blob)
    equal(good, answer(server, "m"))
    soon(lambda: loaded(server) == ["m"], "the end of the damaged model")
    server.request("DELETE", "/api/delete", {"model": "m"})


def what_is_deleted_or_replaced_is_freed(server):
    """No file stays open that has no name any more."""
    def deleted():
        return [line for line in pathlib.Path(f"/proc/{server.process.pid}/maps").read_text().splitlines()
                if "/blobs/" in line and line.endswith("(deleted)")]

    first, second = MINI + b"1", MINI + b"2"
    create(server, "m", first)
    equal(200, server.post("/api/show", {"model": "m"}).status)
    create(server, "m", second)
    soon(lambda: not deleted(), "the end of the replaced file")
    answer(server, "m")
    server.request("DELETE", "/api/delete", {"model": "m"})
    soon(lambda: not deleted() and not loaded(server), "the end of the deleted model")


def names_of_models_in_memory(server):
    """What is in memory stops under the name that it was loaded by, and leaves when the store has it no longer."""
    create(server, "a", MINI + b"a")
    create(server, "b", MINI + b"b")
    server.post("/api/copy", {"source": "a", "destination": "a-backup"})
    answer(server, "a")
    server.request("DELETE", "/api/delete", {"model": "a-backup"})
    equal(["a"], loaded(server), "it has another name:")
    server.post("/api/copy", {"source": "a", "destination": "a-backup"})
    server.post("/api/copy", {"source": "b", "destination": "a"})
    soon(lambda: not loaded(server), "the end of the model whose name was given to another one")
    answer(server, "a-backup")
    server.post("/api/copy", {"source": "a-backup", "destination": "c"})
    server.request("DELETE", "/api/delete", {"model": "a-backup"})
    equal(["a-backup"], loaded(server), "c has its weights:")
    equal(0, server.run("stop", "a-backup")[0])
    soon(lambda: not loaded(server), "the end of the stopped model")
    equal(1, server.run("stop", "a-backup")[0])
    for name in ("a", "b", "c"):
        server.request("DELETE", "/api/delete", {"model": name})


def old_files_are_imported_beside_prunes(server):
    """A file that is hard-linked into the store looks as old as it is; what a running create needs stays all the same."""
    source, large = server.folder / "old.gguf", server.folder / "large.gguf"
    source.write_bytes(MINI + b"old")
    large.write_bytes(MINI + bytes(200 << 20))
    for path in (source, large):
        os.utime(path, (time.time() - 200000,) * 2)
    modelfile = server.folder / "Modelfile.old"
    modelfile.write_text(f"FROM {source}\nDRAFT {large}\n")
    creating = attempt(server, "create", "old", "-f", str(modelfile))
    while creating.poll() is None:
        equal(0, server.run("prune")[0])
    equal(0, creating.returncode)
    equal(0, server.run("verify")[0])


if __name__ == "__main__":
    main((Fixture, (killed_at_any_time, processes_share_a_store, verify_and_usage)),
         (Server, (repaired_files_are_read, what_is_deleted_or_replaced_is_freed, names_of_models_in_memory,
                   old_files_are_imported_beside_prunes)))
