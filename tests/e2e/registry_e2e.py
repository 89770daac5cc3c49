#!/usr/bin/env python3
"""Models to and from a real registry: Debian's docker-registry on the loopback interface."""
import contextlib
import hashlib
import pathlib
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request

from puna_server import ROOT, Server, Skip, contains, equal, free_port, main, soon

CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"{tls}}}
"""


class DockerRegistry:
    def __init__(self, tls=False):
        """`tls`: with a certificate that nobody vouches for."""
        if shutil.which("docker-registry") is None:
            raise Skip("docker-registry is not installed")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="puna-registry-"))
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        config = self.folder / "config.yml"
        key, certificate = self.folder / "key.pem", self.folder / "cert.pem"
        if tls:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                            "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
        config.write_text(CONFIG.format(root=self.folder / "data", port=self.port,
                                        tls=f", tls: {{certificate: {certificate}, key: {key}}}" if tls else ""))
        address = f"{'https' if tls else 'http'}://{self.host}/v2/"
        trust = ssl._create_unverified_context() if tls else None
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(address, timeout=5, context=trust).read()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def server_and_registry(build):
    with DockerRegistry() as registry, Server(build) as server:
        server.registry = registry
        yield server


def model_file(folder, mib):
    """A GGUF file: mini, made longer at its end, which no tensor reads."""
    path = folder / "big.gguf"
    mini = (ROOT / "models" / "mini.gguf").read_bytes()
    block = hashlib.sha256(b"puna").digest() * 32768  # 1 MiB
    with open(path, "wb") as out:
        out.write(mini)
        for i in range(mib):
            out.write(i.to_bytes(8, "little") + block[8:])
    return path


def command(server, *arguments):
    code, out, err = server.run(*arguments)
    equal(0, code, f"puna {' '.join(arguments)}: {err}")
    return out


def push_and_pull(server):
    name = f"{server.registry.host}/library/story:v1"
    command(server, "cp", "mini", name)
    before = server.post("/api/show", {"model": name}).json()
    command(server, "push", "--insecure", name)
    command(server, "rm", name)
    equal(404, server.post("/api/show", {"model": name}).status)
    command(server, "pull", "--insecure", name)
    after = server.post("/api/show", {"model": name}).json()
    for field in ("template", "parameters", "details", "license"):
        equal(before.get(field), after.get(field), field)
    answer = server.post("/api/generate", {"model": name, "prompt": "Hello", "stream": False,
                                           "options": {"temperature": 0, "num_predict": 8}}).json()
    equal(True, answer["done"])


def progress_lines(server):
    name = f"{server.registry.host}/library/story:v1"
    command(server, "rm", name)
    lines = server.post("/api/pull", {"model": name, "insecure": True}).lines()
    statuses = [line["status"] for line in lines]
    equal("pulling manifest", statuses[0])
    equal(["verifying sha256 digest", "writing manifest", "success"], statuses[-3:])
    blobs = [line for line in lines if "digest" in line]
    for line in blobs:
        equal("pulling " + line["digest"][7:19], line["status"])
    equal(True, any(line.get("completed") == line["total"] for line in blobs if "total" in line))
    last = server.post("/api/pull", {"model": name, "insecure": True, "stream": False})
    equal({"status": "success"}, last.json())
    equal({"status": "success"}, server.post("/api/pull", {"name": name, "insecure": True, "stream": False}).json())
    sent = server.post("/api/push", {"name": name, "insecure": True}).lines()
    equal(("retrieving manifest", "success"), (sent[0]["status"], sent[-1]["status"]))
    equal({"status": "success"}, server.post("/api/push", {"model": name, "insecure": True, "stream": False}).json())


def run_pulls(server):
    name = f"{server.registry.host}/library/story:v1"
    command(server, "rm", name)
    out = command(server, "run", "--insecure", name, "Hello")
    equal(True, len(out.strip()) > 0)


def certificates_nobody_vouches_for(server):
    with DockerRegistry(tls=True) as registry:
        name = f"{registry.host}/library/story:v1"
        command(server, "cp", "mini", name)
        code, _, err = server.run("push", name)
        equal(1, code)
        contains("certificate", err)
        command(server, "push", "--insecure", name)
        command(server, "rm", name)
        command(server, "pull", "--insecure", name)
        equal(200, server.post("/api/show", {"model": name}).status)
        command(server, "rm", name)


def errors(server):
    for path in ("/api/pull", "/api/push"):
        equal(400, server.post(path, {}).status)
        contains("model is required", server.post(path, {}).body.decode())
        contains("invalid model name", server.post(path, {"model": "../../etc/passwd"}).body.decode())
    missing = server.post("/api/pull", {"model": f"{server.registry.host}/library/nothing", "insecure": True}).lines()
    equal({"error": "pull model manifest: file does not exist"}, missing[-1])
    code, _, err = server.run("pull", "--insecure", "127.0.0.1:9/library/x")
    equal(1, code)
    contains("127.0.0.1:9", err)


def killed_and_resumed(server):
    """kill -9 of the server in the middle of a pull: nothing partial is listed, and the next pull goes on."""
    name = f"{server.registry.host}/library/big:latest"
    code, _, err = server.run("create", "big", "-f", str(model_file(server.folder, 256)))
    equal(0, code, err)
    command(server, "cp", "big", name)
    command(server, "push", "--insecure", name)
    command(server, "rm", name)
    command(server, "rm", "big")
    pull = threading.Thread(target=lambda: server.run("pull", "--insecure", name))
    pull.start()
    blobs = server.folder / "models" / "blobs"
    soon(lambda: list(blobs.glob("*-partial")), "the beginning of the pull")
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    pull.join()
    server.restart()
    names = [model["name"] for model in server.request("GET", "/api/tags").json()["models"]]
    equal(False, any("big" in each for each in names))
    command(server, "pull", "--insecure", name)
    for blob in blobs.iterdir():
        equal("sha256-" + hashlib.sha256(blob.read_bytes()).hexdigest(), blob.name)


if __name__ == "__main__":
    main((server_and_registry, (push_and_pull, progress_lines, run_pulls, certificates_nobody_vouches_for, errors, killed_and_resumed)))
