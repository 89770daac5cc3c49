"""A puna server of its own for a test: a free port, a fresh store, and plain HTTP to it. Standard library only."""
import argparse
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

from api_contract import CONTRACT

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

ENDLESS = "root ::= [a-z]{60000}"  # a grammar of thousands of tokens: answers that only a limit ends

# mini was taught no tools; this template tells it of them, and what is forced needs no talent.
TOOL_TEMPLATE = """{{ if .Tools }}<|im_start|>system
Tools: {{ .Tools }}<|im_end|>
{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}{{ range .ToolCalls }}<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }}<|im_end|>
{{ end }}<|im_start|>assistant
"""


def shared_path(relative):
    """The path below the shared data folder, or None."""
    root = pathlib.Path(os.environ.get("PUNA_SHARED") or ROOT / ".." / "shared")
    path = root / relative
    return path.resolve() if path.exists() else None


def free_port():
    """A port below those that the system gives to outgoing connections: one of these could be taken until it is used."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def soon(condition, what):
    """Waits for what another thread or process does. The limit is only for what will never happen."""
    deadline = time.monotonic() + 120
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within 120 s")
        time.sleep(0.02)
    return result


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.decode().splitlines() if line]

    def events(self):
        """The data of server-sent events."""
        return [block[len("data: "):] for block in self.body.decode().split("\n\n") if block.startswith("data: ")]

    def named_events(self):
        """(name, data) of server-sent events that have names."""
        pairs = []
        for block in self.body.decode().split("\n\n"):
            if block:
                name, data = block.split("\n")
                pairs.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
        return pairs


class Server:
    def __init__(self, build, tls_folder=None, new_session=False, **settings):
        """`tls_folder` holds cert.pem and key.pem, and the server speaks HTTPS then. `new_session`: it has no terminal."""
        self.new_session = new_session
        self.puna = str(pathlib.Path(build) / "bin" / "puna")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="puna-e2e-"))
        self.port = free_port()
        self.env = dict(os.environ, HOME=str(self.folder), PUNA_HOST=f"127.0.0.1:{self.port}",
                        PUNA_MODELS=str(self.folder / "models"), **settings)
        self.env.setdefault("PUNA_DEVICE", "cpu")  # the same on every machine
        self.tls = None
        if tls_folder is not None:
            self.env.update(PUNA_TLS_CERT=str(tls_folder / "cert.pem"), PUNA_TLS_KEY=str(tls_folder / "key.pem"))
            self.tls = ssl.create_default_context(cafile=str(tls_folder / "cert.pem"))
            self.tls.check_hostname = False
        for name in [name for name in self.env if name.startswith("OLLAMA_")]:
            del self.env[name]
        self.log = open(self.folder / "server.log", "ab")
        try:
            self.restart()
        except BaseException:
            self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def restart(self):
        """Starts the program, the first time or after it ended."""
        self.process = subprocess.Popen([self.puna, "serve"], env=self.env, stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL, start_new_session=self.new_session)
        deadline = time.monotonic() + 600  # for what will never happen: a busy machine may take long
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError("the server ended: " + self.log_text())
            try:
                if self.request("GET", "/").status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server did not answer: " + self.log_text())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        """A server that runs to here must end well too; sanitizers tell what they found by the exit code."""
        ran = self.process.poll() is None
        code, log = self.stop(), self.log_text()
        shutil.rmtree(self.folder, ignore_errors=True)
        if ran and code != 0 and kind is None:
            raise AssertionError(f"the server ended with {code}: {log}")

    def log_text(self):
        """The end of the log, or of what a sanitizer found."""
        log = (self.folder / "server.log").read_text(errors="replace")
        found = re.search(r"WARNING: ThreadSanitizer|ERROR: (Address|Leak)Sanitizer|: runtime error: ", log)
        return log[found.start():][:12000] if found else log[-3000:]

    def stop(self):
        """Ends the server as an operator does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def request(self, method, path, body=None, headers=None, timeout=120):
        if self.tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        try:
            sent = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, path, body=sent, headers=headers or {})
            reply = connection.getresponse()
            reply = Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()
        CONTRACT.check(method, path, body, reply)
        return reply

    def post(self, path, body, **more):
        return self.request("POST", path, body, **more)

    def metric(self, name):
        for line in self.request("GET", "/metrics").body.decode().splitlines():
            if line.startswith((name + " ", name + "{")):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name}")

    def run(self, *arguments, stdin="", env=None, cwd=None, timeout=120):
        """A command of the same program against this server: (exit code, standard output, standard error)."""
        done = subprocess.run([self.puna, *map(str, arguments)], env={**self.env, **(env or {})}, cwd=cwd,
                              input=stdin.encode(), capture_output=True, timeout=timeout, check=False)
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class Skip(Exception):
    """Raised by a test, or by what opens the fixture of several, with the reason."""


def perform(name, function, *arguments):
    """Runs a test and prints the line that tests/run.py counts; whether it did not fail."""
    name = name.removeprefix("test_")
    CONTRACT.test = f"{pathlib.Path(sys.argv[0]).stem}.{name}"
    try:
        function(*arguments)
        print(f"ok {name}", flush=True)
    except Skip as reason:
        print(f"skip {name}: {reason}", flush=True)
    except Exception as error:  # a failed check must not end the others
        print(f"fail {name}: {type(error).__name__}: {error}".replace("\n", "\\n")[:2000], flush=True)
        traceback.print_exc(limit=-3)
        return False
    finally:
        CONTRACT.test = None
    return True


def main(*groups):
    """The whole of a script. A group is (fixture, tests): fixture(build) is a context manager, `Server` for one, whose value
    each of the tests gets; contextlib.nullcontext gives them the build folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("-k", dest="filter", default="", help="only tests whose name contains this")
    options = parser.parse_args()
    good = True
    for fixture, tests in groups:
        chosen = [test for test in tests if options.filter in test.__name__]
        if not chosen:
            continue
        try:
            with fixture(options.build.resolve()) as value:
                results = [perform(test.__name__, test, value) for test in chosen]
                if not all(results):
                    good = False
                    print(value.log_text() if hasattr(value, "log_text") else "", flush=True)
        except Skip as reason:
            for test in chosen:
                print(f"skip {test.__name__.removeprefix('test_')}: {reason}", flush=True)
        except Exception as error:
            good = False
            print(f"fail {fixture.__name__}: {type(error).__name__}:", str(error).replace("\n", "\n  "), flush=True)
    CONTRACT.write_record()
    sys.exit(0 if good else 1)


def equal(expected, actual, what=""):
    if expected != actual:
        raise AssertionError(f"{what} expected {expected!r}, got {actual!r}"[:1500])


def contains(part, whole):
    if part not in whole:
        raise AssertionError(f"{part!r} is not in {whole!r}"[:1500])
