#!/usr/bin/env python3
"""What docs/from-ollama.md says of users who come from Ollama, where no other test shows it, and that the page names tests
that exist."""
import contextlib
import hashlib
import http.server
import json
import os
import re
import signal
import subprocess
import threading
import urllib.request

from cli_e2e import Puna, check
from puna_server import ROOT, free_port, main, soon



def write_store(models):
    """A model as Ollama stores it: a manifest without spaces, a Go template, parameters, a license."""
    blobs = models / "blobs"
    blobs.mkdir(parents=True)

    def layer(kind, content):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / f"sha256-{digest}").write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    image = "application/vnd.ollama.image."
    config = {"model_format": "gguf", "model_family": "llama", "model_families": ["llama"], "model_type": "3.5M",
              "file_type": "Q8_0", "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": layer("application/vnd.docker.container.image.v1+json", json.dumps(config).encode()),
        "layers": [layer(image + "model", (ROOT / "models" / "mini.gguf").read_bytes()),
                   layer(image + "template", b"{{ .System }} USER: {{ .Prompt }} ASSISTANT: "),
                   layer(image + "params", b'{"stop":["USER:"],"temperature":0}'),
                   layer(image + "license", b"Do as you please."),
                   layer(image + "embed", b"obsolete")]}
    path = models / "manifests" / "registry.ollama.ai" / "library" / "older" / "1b"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest, separators=(",", ":")))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def serving(puna, home, **variables):
    """A server for somebody with that home folder and Ollama's variables."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PUNA_", "OLLAMA_"))}
    environment.update(HOME=str(home), OLLAMA_HOST=f"127.0.0.1:{port}", LC_ALL="C", **variables)
    server = subprocess.Popen([puna.puna, "serve"], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def get(path):
        return json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60).read())

    def answers():
        check(server.poll() is None, "the server ended")
        with contextlib.suppress(OSError):
            return get("/api/version")

    soon(answers, "the start of the server")

    def command(*arguments):
        done = subprocess.run([puna.puna, *arguments], env=environment, capture_output=True, timeout=120, check=False,
                              stdin=subprocess.DEVNULL)
        check(done.returncode == 0, arguments, done.stderr)
        return done.stdout.decode()

    try:
        yield get, command
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def a_store_of_ollama(puna):
    home = puna.folder / "home1"
    digest = write_store(home / ".ollama" / "models")
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    with serving(puna, home) as (get, command):
        row = command("list", "OLDER").splitlines()[1].split()
        check(row[:2] == ["older:1b", digest[:12]], row)
        check("Do as you please." in command("show", "older:1b", "--license"), "license")
        check("USER:" in command("show", "older:1b", "--template"), "template")
        check(command("run", "Older:1B", "--num-predict", "8", "hello").strip() != "", "it answers")
        command("cp", "older:1b", "newer")
        check(len(get("/api/tags")["models"]) == 3, "both and mini")
    for path, content in before.items():
        check(path.read_bytes() == content, path, "was changed")
    # What puna writes is as Ollama writes it.
    text = (home / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library" / "newer" / "latest").read_bytes()
    check(hashlib.sha256(text).hexdigest() == digest, "a copy is the same manifest")


def environment(puna):
    home = puna.folder / "home2"
    store = puna.folder / "elsewhere"
    write_store(store)
    home.mkdir()
    with serving(puna, home, OLLAMA_MODELS=str(store), OLLAMA_KEEP_ALIVE="-1", OLLAMA_CONTEXT_LENGTH="128",
                 OLLAMA_KV_CACHE_TYPE="q8_0") as (get, command):
        check("older:1b" in command("list"), "OLLAMA_MODELS")
        command("run", "older:1b", "--num-predict", "2", "hi")
        loaded = get("/api/ps")["models"][0]
        check(loaded["context_length"] == 128, "OLLAMA_CONTEXT_LENGTH", loaded)
        check("Forever" in command("ps"), "OLLAMA_KEEP_ALIVE", command("ps"))
        command("run", "older:1b", "--num-predict", "2", "much to read " * 200)  # cut, as where num_ctx is set
    with serving(puna, home, OLLAMA_MODELS=str(puna.folder / "nowhere"), PUNA_MODELS=str(store)) as (_, command):
        check("older:1b" in command("list"), "PUNA_MODELS wins")
    with serving(puna, home, OLLAMA_LOAD_TIMEOUT="1m", OLLAMA_NO_CLOUD="1", OLLAMA_GPU_OVERHEAD="",
                 OLLAMA_KEEP_ALIVE="1m") as (_, command):
        warned = re.findall(r"(OLLAMA_\w+) has no effect", command("logs"))
        check(warned[-1:] == ["OLLAMA_LOAD_TIMEOUT"] and len(warned) == 1, warned)


def the_same_commands(puna):
    """Every command of Ollama's that docs/from-ollama.md promises, with its flags."""
    flags = {"serve": [], "run": ["--keepalive", "--verbose", "--insecure", "--nowordwrap", "--format", "--think",
                                  "--hidethinking", "--truncate", "--dimensions"],
             "create": ["--file", "--quantize", "--draft-quantize", "--experimental"], "pull": ["--insecure"],
             "push": ["--insecure"], "list": [], "ps": [],
             "show": ["--license", "--modelfile", "--parameters", "--template", "--system", "--verbose"], "stop": [],
             "cp": [], "rm": []}
    for command, names in flags.items():
        text = puna.ok(command, "--help")
        for name in names:
            check(name in text, command, "has no", name)
    for alias, name in (("start", "serve"), ("ls", "list")):
        check(puna.ok(alias, "--help").splitlines()[0] == puna.ok(name, "--help").splitlines()[0], alias)


def the_key_stays(puna):
    """An Ollama key is used, and none is made beside it."""
    home = puna.folder / "home3"
    (home / ".ollama").mkdir(parents=True)
    key = home / ".ollama" / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().split()[1]
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/token"):
                seen.append(self.headers["Authorization"].split(":")[0])
                self.send_response(403)
            else:
                self.send_response(401)
                self.send_header("WWW-Authenticate", f'Bearer realm="http://{self.headers["Host"]}/token",service="s",scope="x"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    registry = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=registry.serve_forever, daemon=True).start()
    with serving(puna, home) as (_, command):
        with contextlib.suppress(AssertionError):
            command("pull", "--insecure", f"127.0.0.1:{registry.server_port}/library/x")
        check(f"ssh-ed25519 {public}" in command("signin"), "it is printed for the pages of registries")
    registry.shutdown()
    check(seen == [public], seen, public)
    check(not (home / ".puna" / "id_ed25519").exists(), "a second key")


def the_page_names_tests_that_exist(puna):
    page = (ROOT / "docs" / "from-ollama.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| what")]
    check(len(rows) > 8, len(rows))
    for row in rows:
        tests = re.findall(r"`(\w+(?::\w+\.\w+|\.\w+))`", row.rsplit("|", 2)[1])
        check(tests, "no test in", row)
        for test in tests:
            if ":" in test:
                program, case = test.split(":")
                suite, name = case.split(".")
                sources = (ROOT / "src" / program.removesuffix("_test")).rglob("*_test.cc")
                found = any(re.search(rf"TEST(_F|_P)?\({suite}, {name}\)", path.read_text()) for path in sources)
            else:
                script, function = test.split(".")
                found = f"def {function}(" in (ROOT / "tests" / "e2e" / f"{script}.py").read_text()
            check(found, test, "does not exist")


if __name__ == "__main__":
    main((Puna, (a_store_of_ollama, environment, the_same_commands, the_key_stays, the_page_names_tests_that_exist)))
