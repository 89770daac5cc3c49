#!/usr/bin/env python3
"""The commands that Ollama does not have, machine-readable output, completion, manual pages, and what a terminal shows of
long answers and of earlier lines."""
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request

from cli_e2e import Puna, Terminal, check
from puna_server import ROOT, Skip, free_port, main, soon


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_json_of_every_listing(puna):
    puna.ok("run", "mini", "--num-predict", "2", "--top-k", "3", "--top-p", "0.9", "--keepalive", "10m", "hi")
    tags = json_lines(puna.ok("list", "--json", "MIN"))
    check(tags == puna.request("GET", "/api/tags").json()["models"], "list", tags)
    loaded = json_lines(puna.ok("ps", "--json"))
    check([model["name"] for model in loaded] == ["mini:latest"] and loaded[0]["size"] > 0, "ps", loaded)
    check(json_lines(puna.ok("show", "mini", "--json"))[0]["capabilities"], "show")
    check(json_lines(puna.ok("search", "mini", "--json"))[0]["name"] == "mini:latest", "search")
    check("disk_free_bytes" in json_lines(puna.ok("doctor", "--json"))[0], "doctor")
    check(json_lines(puna.ok("prune", "--json", "--dry-run")) == [{"files": 0, "bytes": 0}], "prune")
    check(json_lines(puna.ok("du", "--json"))[-1]["folder"] == str(puna.models), "du")
    check(json_lines(puna.ok("verify", "--json")) == [{"folder": str(puna.models), "problems": 0}], "verify")


def test_prune_says_what_it_leaves(puna):
    blob = puna.models / "blobs" / f"sha256-{hashlib.sha256(b'nobody').hexdigest()}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(b"nobody")
    first, rest = puna.ok("prune").splitlines()
    check(first == "deleted 0 files, 0 B", first)
    check(rest.endswith(" more are less than an hour old or of pulls that can go on: --all takes them too"), rest)
    check(blob.exists(), "it is new")
    check(puna.ok("prune", "--all").startswith("deleted 1 files, "), "all of it")
    check(puna.ok("prune") == "deleted 0 files, 0 B\n", "nothing is left")


def test_search(puna):
    puna.ok("create", "parrot", "-f", "-", stdin="FROM mini\nSYSTEM You repeat what the Admiral says.\n")
    check("parrot:latest" in puna.ok("search", "ADMIRAL", "repeat"), "words of the system message, in any case")
    check("parrot" not in puna.ok("search", "admiral", "nothing-like-it"), "all words have to be there")
    rows = puna.ok("search", "llama").splitlines()
    check(rows[0].split() == ["NAME", "SIZE", "FAMILY", "PARAMETERS", "TYPE", "CAPABILITIES"], rows)
    check(len(rows) >= 3, "the family is searched", rows)


def test_export_and_import(puna):
    puna.ok("create", "speaker", "-f", "-", stdin='FROM mini\nSYSTEM """Speak\nup."""\nPARAMETER temperature 0\n'
                                                   "PARAMETER stop <x>\nMESSAGE user hi\nMESSAGE assistant hello\n")
    target = puna.folder / "exported"
    puna.ok("export", "speaker", target)
    check(sorted(path.name for path in target.iterdir()) == ["Modelfile", "model.gguf"], list(target.iterdir()))
    check("is not empty" in puna.error("export", "speaker", target), "nothing is overwritten")
    check("imported 'again'" in puna.ok("import", target, "again"), "words of import")
    before, after = (puna.post("/api/show", {"model": name}).json() for name in ("speaker", "again"))
    for field in ("system", "parameters", "template", "messages", "model_info"):
        check(before.get(field) == after.get(field), field, before.get(field), after.get(field))
    draft = puna.folder / "draft"
    puna.ok("synth", draft, "--shape", "tiny")
    texts = ['"quoted" word', "one \r\n two ", 'ends with "']
    create = {"model": "bearer", "from": "mini", "requires": "0.6.0", "license": texts, "parameters": {"stop": texts}, "stream": False}
    check(puna.post("/api/create", create).status == 200, "create")
    puna.ok("create", "bearer", "-f", "-", stdin=f"FROM bearer\nDRAFT {draft}\n")
    target = puna.folder / "whole"
    puna.ok("export", "bearer", target)
    check((target / "draft.gguf").read_bytes() == draft.read_bytes(), "the draft model")
    puna.ok("import", target, "again")
    before, after = (puna.post("/api/show", {"model": name}).json() for name in ("bearer", "again"))
    for field in ("license", "parameters", "requires"):
        check(before.get(field) == after.get(field) and before.get(field), field, before.get(field), after.get(field))
    check("draft" in puna.ok("show", "again", "--modelfile").lower(), "the copy has it, too")
    check(puna.post("/api/create", {**create, "system": 'three"""\nlines'}).status == 200, "create")
    check("SYSTEM: a Modelfile cannot hold" in puna.error("export", "bearer", puna.folder / "none"), "not another model")
    check(not (puna.folder / "none").exists(), "nothing is written")
    puna.ok("export", "mini", puna.folder / "bundled")
    check((puna.folder / "bundled" / "model.gguf").read_bytes() == (ROOT / "models" / "mini.gguf").read_bytes(), "mini")
    puna.ok("import", puna.folder / "bundled" / "model.gguf")
    check("model:latest" in puna.ok("list"), "a file gives the model its name")
    check("there is no file" in puna.error("import", puna.folder / "nowhere"), "missing")


def test_pull_of_files(puna):
    folder = puna.folder / "served"
    folder.mkdir()
    shutil.copy(ROOT / "models" / "mini.gguf", folder / "Small One.gguf")
    puna.ok("pull", f"file://{folder}/Small%20One.gguf")
    check("Small-One:latest" in puna.ok("list"), puna.ok("list"))
    puna.ok("pull", f"file://{folder}/Small%20One.gguf", "--as", "named")
    check("named:latest" in puna.ok("list"), "a name of one's own")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

    shutil.copy(ROOT / "models" / "mini.gguf", folder / "two.gguf")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/two.gguf"
    check("--insecure" in puna.error("pull", url), "http needs consent")
    puna.ok("pull", "--insecure", url, "--as", "by-url")
    check(puna.ok("run", "by-url", "--num-predict", "4", "hi") is not None, "it runs")
    check("404" in puna.error("pull", "--insecure", url.replace("two", "three")), "a file that is not there")
    reply = puna.post("/api/pull", {"model": "file:///etc/passwd"})
    check(reply.status == 400 and b"pulls no files" in reply.body, reply.body)
    server.shutdown()


def test_push_without_rights(puna):
    class Handler(http.server.BaseHTTPRequestHandler):
        """A registry that knows everybody and allows nothing."""

        def log_message(self, *_):
            pass

        def do_GET(self):
            token = self.path.startswith("/token")
            body = b'{"token":"t"}' if token else b"{}"
            self.send_response(200 if token else 401)
            if not token:
                self.send_header("WWW-Authenticate", f'Bearer realm="http://127.0.0.1:{registry.server_port}/token",service="x",scope="y"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_PUT = do_GET

    registry = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=registry.serve_forever, daemon=True).start()
    name = f"127.0.0.1:{registry.server_port}/somebody/model"
    puna.ok("cp", "mini", name)
    message = puna.error("push", "--insecure", name)
    check("you are not authorized to push to this namespace" in message, message)
    registry.shutdown()


def test_logs(puna):
    puna.ok("run", "mini", "--num-predict", "2", "hi")
    lines = puna.ok("logs", "-n", "3").splitlines()
    check(len(lines) == 3, lines)
    check("listens on" in puna.ok("logs", "-n", "100000"), "the beginning")
    check(puna.ok("logs", "--lines", "0") == "", "no lines")
    check("journalctl" in puna.error("logs", "--file", puna.folder / "no.log"), "what else there is")
    log = puna.folder / "follow.log"
    log.write_text("old\n")
    follower = subprocess.Popen([puna.puna, "logs", "-f", "--file", str(log)], env=puna.env, stdout=subprocess.PIPE)
    check(follower.stdout.readline() == b"old\n", "what is there")
    with open(log, "a") as out:
        out.write("new\n")
    check(follower.stdout.readline() == b"new\n", "what comes")
    follower.send_signal(signal.SIGINT)
    check(follower.wait(30) == 0, "an interrupted follower")


def test_doctor(puna):
    text = puna.ok("doctor", env={"PUNA_THREADS": "1", "PUNA_ISA": "scalar", "PUNA_API_KEY": "secret"})
    for part in ("processor", "cores", "kernels", "memory", "store", "PUNA_THREADS=1", "portable kernels are used"):
        check(part in text, part, "is not in", text)
    check("secret" not in text, "keys are not shown")
    check("none at" in puna.ok("doctor", env={"PUNA_HOST": "127.0.0.1:9"}), "no server")


def completed(puna, line):
    """What bash would offer at the end of a command line."""
    script = f"""source <("$PUNA" completion bash)
puna() {{ "$PUNA" "$@"; }}
COMP_LINE={json.dumps(line)} COMP_POINT=${{#COMP_LINE}} COMP_WORDBREAKS=$' \\n:'
_puna
printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], env={**puna.env, "PUNA": puna.puna}, capture_output=True, check=True,
                          cwd=puna.folder)
    check(not done.stderr, done.stderr)
    return done.stdout.decode().split()


def test_completion(puna):
    puna.ok("cp", "mini", "mine:v2")
    check({"serve", "show", "stop", "start"} - set(completed(puna, "puna s")) == {"start"}, completed(puna, "puna s"))
    check("search" in completed(puna, "puna "), "all commands")
    check(set(completed(puna, "puna run mi")) == {"mini:latest", "mine:v2"}, completed(puna, "puna run mi"))
    check(completed(puna, "puna run mine:") == ["v2"], "bash splits at colons", completed(puna, "puna run mine:"))
    check("--num-ctx" in completed(puna, "puna run --n"), "flags")
    check(completed(puna, "puna show --js") == ["--json"], "flags of another command")
    check("served/" in completed(puna, "puna import se") or "served" in completed(puna, "puna import se"), "files")
    check({"claude", "codex"} <= set(completed(puna, "puna launch ")), "agents", completed(puna, "puna launch "))
    check("served" not in completed(puna, "puna launch "), "no files")
    check(set(completed(puna, "puna launch claude --model mi")) == {"mini:latest", "mine:v2"}, "models of a flag")
    check(completed(puna, "puna create x -q Q4_K_") == ["Q4_K_S", "Q4_K_M"], completed(puna, "puna create x -q Q4_K_"))
    check("Q4_K_M" not in completed(puna, "puna quantize "), "a file comes first")
    check("served" in completed(puna, "puna quantize a.gguf s"), "a file comes second")
    check({"Q4_K_M"} == set(completed(puna, "puna quantize -t 4 --allow-requantize a.gguf b.gguf Q4_K_M")), "then a type")
    check(completed(puna, "puna launch claude ") == [], "no second agent", completed(puna, "puna launch claude "))
    check(completed(puna, "puna launch --model mini cl") == ["claude"], "a flag's value is no argument")
    check({"mini:latest", "mine:v2"} <= set(completed(puna, "puna rm mini ")), "any number of models")
    check(completed(puna, "puna cp mini ") == [], "a new name")
    check(completed(puna, "puna completion z") == ["zsh"], "shells")
    check(completed(puna, "puna man quan") == ["quantize"], "commands")
    check("not one of" in puna.error("completion", "tcsh"), "unknown shell")


def shell_accepts(puna, shell, *check_arguments):
    if shutil.which(shell) is None:
        raise Skip(f"{shell} is not installed")
    script = puna.folder / f"completion.{shell}"
    script.write_text(puna.ok("completion", shell))
    done = subprocess.run([shell, *check_arguments, str(script)], capture_output=True, check=False)
    check(done.returncode == 0, shell, done.stderr)
    return script


def test_completion_of_zsh(puna):
    script = shell_accepts(puna, "zsh", "-n")
    path = os.pathsep.join([str(pathlib.Path(puna.puna).parent), puna.env["PATH"]])
    # What zsh's own functions are told, printed.
    stubs = "compdef() {}; compadd() { shift; print -l -- $@ }; _files() { print FILES }"
    for words, wanted, unwanted in ((["launch", ""], "claude", "FILES"), (["launch", "claude", ""], "", "codex"),
                                    (["run", ""], "mini:latest", "claude"), (["run", "mini", ""], "", "mini:latest"),
                                    (["quantize", "-t", "4", "a", ""], "FILES", "Q4_K_M"),
                                    (["quantize", "-t", "4", "a", "b", ""], "Q4_K_M", "FILES"),
                                    (["launch", "--model", ""], "mini:latest", "claude")):
        typed = " ".join(f'"{word}"' for word in ["puna", *words])
        done = subprocess.run(["zsh", "-fc", f"{stubs}; source {script}; words=({typed}); CURRENT={len(words) + 1}; PREFIX=; _puna"],
                              env={**puna.env, "PATH": path}, capture_output=True, check=False)
        shown = done.stdout.decode().split()
        check((not wanted or wanted in shown) and unwanted not in shown and not done.stderr, words, done.stdout, done.stderr)


def test_completion_of_fish(puna):
    script = shell_accepts(puna, "fish", "--no-execute")
    path = os.pathsep.join([str(pathlib.Path(puna.puna).parent), puna.env["PATH"]])
    for line, wanted in (("puna run mini", "mini:latest"), ("puna launch cl", "claude"), ("puna launch claude --model mi", "mini:latest"),
                         ("puna create x -q Q4_K_", "Q4_K_M"), ("puna completion z", "zsh")):
        done = subprocess.run(["fish", "-c", f"source {script}; complete -C '{line}'"], env={**puna.env, "PATH": path},
                              capture_output=True, check=False)
        check(wanted in done.stdout.decode(), line, done.stdout, done.stderr)
    done = subprocess.run(["fish", "-c", f"source {script}; complete -C 'puna launch claude '; complete -C 'puna doctor '"],
                          env={**puna.env, "PATH": path}, capture_output=True, check=False, cwd=puna.folder)
    check(not done.stdout and not done.stderr, "no second agent, and no file", done.stdout, done.stderr)
    (puna.folder / "latest.gguf").touch()
    for line, wanted in (("puna run mini:", ["mini:latest"]), ("puna run localhost:5000/x:", []), ("puna rm a:b mini:", ["mini:latest"]),
                         ("puna run ./lat", ["./latest.gguf"]), ("puna show ./a:lat", ["./a:latest.gguf"])):
        done = subprocess.run(["fish", "-c", f"source {script}; complete -C '{line}'"], env={**puna.env, "PATH": path},
                              capture_output=True, check=False, cwd=puna.folder)
        check(done.stdout.decode().split() == wanted and not done.stderr, line, done.stdout, done.stderr)


def test_manual_pages(puna):
    folder = puna.folder / "man"
    puna.ok("man", "--all", folder)
    pages = {path.name for path in folder.iterdir()}
    check({"puna.1", "puna-run.1", "puna-serve.1"} <= pages, pages)
    check("puna-complete.1" not in pages, "hidden commands stay hidden")
    run_help, run_page = puna.ok("run", "--help"), puna.ok("man", "run").replace("\\-", "-")
    for flag in ("--num-ctx", "--keepalive", "--hidethinking"):
        check(flag in run_help and flag in run_page, flag)
    check("PUNA_HOST" in puna.ok("man"), "settings")
    check("there is no command" in puna.error("man", "frobnicate"), "unknown")
    if shutil.which("man") is None and shutil.which("groff") is None:
        return
    for path in folder.iterdir():
        viewer = ["man", "-l", "--warnings", str(path)] if shutil.which("man") else ["groff", "-man", "-Tascii", "-ww", str(path)]
        shown = subprocess.run(viewer, capture_output=True, check=False, env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
        check(shown.returncode == 0 and not shown.stderr, path, shown.stderr)


def test_earlier_lines_are_found(puna):
    chat = Terminal(puna, "run", "mini", "--option", "num_predict=2")
    chat.read_until(r">>> ")
    chat.type("/set parameter seed 77\r")
    chat.read_until(r"Set parameter 'seed' to '77'")
    chat.type("/set verbose\r")
    chat.read_until(r"Set 'verbose' mode")
    chat.type("/set quiet\r")
    chat.read_until(r"Set 'quiet' mode")
    chat.read_until(r">>> ")  # control keys mean something else to a terminal that nobody reads
    chat.type("\x12seed")  # Ctrl-R
    chat.read_until(r"search: ")
    chat.read_until(r"parameter seed 77")
    chat.type("\x1b\x05 \r")  # take it
    chat.read_until(r"Set parameter 'seed' to '77'")
    chat.read_until(r">>> ")
    chat.type("\x04")
    check(chat.wait() == 0, "exit code")
    # The next session finds them too.
    chat = Terminal(puna, "run", "mini")
    chat.read_until(r">>> ")
    chat.type("\x10\r")  # Ctrl-P
    chat.read_until(r"Set parameter 'seed' to '77'")
    chat.type("/bye\r")
    check(chat.wait() == 0, "exit code")


def test_sockets_of_systemd(puna):
    """LISTEN_FDS: the server takes over a socket that listens already, and no request is lost before it starts."""
    puna.stop()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        answer = []
        client = threading.Thread(target=lambda: answer.append(
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version", timeout=60).read()))
        client.start()
        environment = {**puna.env, "LISTEN_FDS": "1", "PUNA_HOST": "127.0.0.1:1"}

        def pass_descriptor():
            os.dup2(listener.fileno(), 3)

        server = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$0" serve', puna.puna], env=environment,
                                  preexec_fn=pass_descriptor, close_fds=False, stderr=subprocess.DEVNULL)
        client.join(60)
        check(answer and b"version" in answer[0], "the waiting client got its answer")
        server.send_signal(signal.SIGTERM)
        check(server.wait(60) == 0, "exit code")
    wrong = {**puna.env, "LISTEN_FDS": "2"}
    done = subprocess.run(["sh", "-c", 'LISTEN_PID=$$ exec "$0" serve', puna.puna], env=wrong, capture_output=True, check=False)
    check(done.returncode == 1 and b"2 sockets" in done.stderr, done.stderr)


def answers(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
        return True
    return False


def test_more_connections_than_a_shell_allows(puna):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 1024:
        raise Skip(f"no more than {most} descriptors here")
    port = free_port()
    server = subprocess.Popen(["sh", "-c", 'ulimit -Sn 64; exec "$0" serve', puna.puna], stderr=subprocess.DEVNULL,
                              env={**puna.env, "PUNA_HOST": f"127.0.0.1:{port}"})
    idle = []
    try:
        soon(lambda: answers(port), "an answer")
        idle = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(200)]
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version", timeout=60).read()
        check(b"version" in answer, answer)
    finally:
        for connection in idle:
            connection.close()
        server.send_signal(signal.SIGTERM)
        check(server.wait(60) == 0, "exit code")


if __name__ == "__main__":
    main((Puna, (test_json_of_every_listing, test_prune_says_what_it_leaves, test_search, test_export_and_import,
                 test_pull_of_files, test_push_without_rights, test_logs, test_doctor,
                 test_completion, test_completion_of_zsh, test_completion_of_fish, test_manual_pages,
                 test_earlier_lines_are_found, test_sockets_of_systemd,
                 test_more_connections_than_a_shell_allows)))
