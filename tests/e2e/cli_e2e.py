#!/usr/bin/env python3
"""Drives the built program as somebody at a terminal would: every command against a server with a store of its own,
then the commands that need no server."""
import contextlib
import fcntl
import json
import math
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

from puna_server import ROOT, Server, Skip, main, shared_path

ORACLES = ROOT / "tests" / "data" / "oracles"
# Of a registry where nobody listens: models that are missing are pulled, and tests stay on this machine.
NO_SUCH_MODEL = "127.0.0.1:9/library/no-such-model"


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(part) for part in what)[:600])


class Puna(Server):
    """The program with a server, as somebody at a terminal calls it."""

    def __init__(self, build):
        super().__init__(build, TERM="xterm", LC_ALL="C")
        self.models = self.folder / "models"

    def ok(self, *arguments, **options):
        code, out, err = self.run(*arguments, **options)
        check(code == 0, "puna", *arguments, "ended with", code, err)
        return out

    def error(self, *arguments, code=1, **options):
        """The one line that a failing command prints."""
        actual, out, err = self.run(*arguments, **options)
        check(actual == code, "puna", *arguments, "ended with", actual, "instead of", code, out, err)
        lines = [line for line in err.splitlines() if line.startswith("Error: ")]
        check(len(lines) == 1, "expected one line 'Error: ...', got", repr(err))
        return lines[0]


@contextlib.contextmanager
def without_server(build):
    with Puna(build) as puna:
        puna.stop()
        yield puna


class Terminal:
    """A command behind a pseudo-terminal."""

    def __init__(self, puna, *arguments, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
            os.execve(puna.puna, [puna.puna, *map(str, arguments)], {**puna.env, **(env or {})})
        self.seen = ""

    def resize(self, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read_until(self, pattern, timeout_s=60):
        """What came since the last match, up to and with the pattern, without escape sequences."""
        deadline = time.monotonic() + timeout_s
        while True:
            clean = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]", "", self.seen)
            match = re.search(pattern, clean)
            if match:
                self.seen = clean[match.end():]
                return clean[:match.end()]
            left = deadline - time.monotonic()
            check(left > 0, f"no {pattern!r} within {timeout_s} s in", repr(clean[-400:]))
            if select.select([self.fd], [], [], min(left, 1))[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode("utf8", "replace")
                except OSError:
                    raise AssertionError(f"ended before {pattern!r}: {clean[-400:]!r}") from None

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self, timeout_s=30):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    os.read(self.fd, 65536)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        raise AssertionError("the command did not end")


def floats(path):
    data = pathlib.Path(path).read_bytes()
    return struct.unpack(f"<{len(data) // 4}f", data)


def tiny_model(puna, name="tiny.gguf", shape="tiny", kind="Q4_K_M"):
    path = puna.folder / name
    if not path.exists():
        puna.ok("synth", path, "--shape", shape, "--type", kind)
    return path


# ---------------------------------------------------------------- with a server

def test_version_and_help(puna):
    check("puna version is " in puna.ok("--version"), "no version")
    help_text = puna.ok("--help")
    for command in ("serve", "run", "create", "show", "list", "ps", "stop", "cp", "rm", "eval", "bench", "synth"):
        check(re.search(rf"^\s+{command}\b", help_text, re.M), "no", command, "in the help")
        puna.ok(command, "--help")
    check(puna.ok("help") == help_text and puna.ok("help", "run") == puna.ok("run", "--help"), "help is a command too")
    serve_help = puna.ok("serve", "--help")
    check("PUNA_HOST, OLLAMA_HOST" in serve_help and "PUNA_THREADS" in serve_help, "settings are missing")


def test_unknown_arguments(puna):
    equal_to = "Error: unknown command \"frobnicate\"; 'puna help' lists them"
    check(puna.error("frobnicate") == equal_to, puna.error("frobnicate"))
    check("no command" in puna.error("help", "frobnicate"), "help of nothing")
    puna.error("list", "--frobnicate")
    puna.error("run")
    puna.error("show", "mini", "--system", "--template")


def test_list(puna):
    lines = puna.ok("list").splitlines()
    check(lines[0].split() == ["NAME", "ID", "SIZE", "MODIFIED"], lines)
    check(any(line.startswith("mini:latest ") for line in lines), lines)
    check(puna.ok("ls", "MIN").count("\n") == 2, "the prefix ignores case")
    check(puna.ok("ls", "zzz").count("\n") == 1, "nothing begins with zzz")


def test_run_one_prompt(puna):
    words = puna.ok("run", "mini", "--temperature", "0", "--option", "num_predict=12", "Who", "are", "you?")
    quoted = puna.ok("run", "mini", "--temperature", "0", "--option", "num_predict=12", "Who are you?")
    check(words.strip() and words == quoted, repr(words), repr(quoted))
    code, out, err = puna.run("run", "mini", "--verbose", "--seed", "3", "--num-ctx", "256", "Hello")
    check(code == 0 and out.strip() and "eval rate:" in err and "total duration:" in err, out, err)


def test_run_reads_standard_input(puna):
    arguments = ("run", "mini", "--temperature", "0", "--option", "num_predict=12")
    piped = puna.ok(*arguments, stdin="Who are you?")
    check(piped == puna.ok(*arguments, "Who are you?"), "standard input is the prompt")
    both = puna.ok(*arguments, "you?", stdin="Who are")
    check(both == piped, "standard input comes before the words")


def test_run_errors(puna):
    check("no prompt" in puna.error("run", "mini"), "an empty standard input is no prompt")
    message = puna.error("run", NO_SUCH_MODEL, "hi")
    check("no-such-model" in message and "could not be pulled" in message and "puna list" in message, message)
    check("there is no file" in puna.error("run", "./missing.gguf", "hi"), "missing file")
    check("unknown parameter" in puna.error("run", "mini", "--option", "frob=1", "hi"), "unknown option")
    check("key=value" in puna.error("run", "mini", "--option", "top_k", "hi"), "no value")
    puna.error("run", "mini", "--keepalive", "soon", "hi")
    puna.error("run", "mini", "--format", "yaml", "hi")


def test_output_that_cannot_be_written(puna):
    long = json.dumps({"type": "array", "items": {"enum": ["a rather long word", "another one"]}, "minItems": 400})
    cancelled = puna.metric("puna_requests_cancelled_total")
    for arguments in (["list"], ["show", "mini"], ["run", "mini", "--num-predict", "3", "hi"],
                      ["run", "mini", "--format", long, "hi"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([puna.puna, *arguments], env=puna.env, stdout=full, stderr=subprocess.PIPE, text=True,
                                  stdin=subprocess.DEVNULL, check=False)
        check(done.returncode == 1 and "standard output is not complete" in done.stderr, arguments, done)
    deadline = time.monotonic() + 10
    while puna.metric("puna_requests_cancelled_total") == cancelled:
        check(time.monotonic() < deadline, "an answer that cannot be written is computed to its end")
        time.sleep(0.01)


def test_create_from_model(puna):
    (puna.folder / "Modelfile").write_text(
        'FROM mini\nSYSTEM """You are\na parrot."""\nPARAMETER temperature 0\nPARAMETER stop "<x>"\n'
        "LICENSE Do as you please\nMESSAGE user hello\nMESSAGE assistant hello yourself\n")
    code, _, err = puna.run("create", "parrot", "-f", puna.folder / "Modelfile")
    check(code == 0 and "success" in err, err)
    check("parrot:latest" in puna.ok("list"), "not listed")
    check("a parrot." in puna.ok("show", "parrot", "--system"), "no system")
    check("temperature" in puna.ok("show", "parrot", "--parameters"), "no parameters")
    check("Do as you please" in puna.ok("show", "parrot", "--license"), "no license")
    check("only one of" in puna.error("show", "parrot", "--modelfile", "--license"), "one part")
    check(puna.run("create", "again", "-f", "-", stdin=puna.ok("show", "mini", "--modelfile"))[0] == 0, "mini names itself")
    modelfile = puna.ok("show", "parrot", "--modelfile")
    check("FROM " in modelfile and "PARAMETER stop <x>" in modelfile and "MESSAGE user hello" in modelfile, modelfile)
    # Without -f the Modelfile of the current folder counts.
    puna.ok("create", "parrot2", cwd=puna.folder)
    # A Modelfile from a pipe; what show prints can be read again.
    puna.ok("create", "parrot3", "-f", "-", stdin="FROM parrot\nSYSTEM short\n")
    check(puna.ok("show", "parrot3", "--system").strip() == "short", "the system message was not replaced")
    check("temperature" in puna.ok("show", "parrot3", "--parameters"), "parameters are inherited")


def test_create_from_gguf(puna):
    model = tiny_model(puna)
    nested = puna.folder / "nested"
    nested.mkdir(exist_ok=True)
    (nested / "Modelfile").write_text("# relative to this file\nFROM ../tiny.gguf\nTEMPLATE {{ .Prompt }}\n")
    puna.ok("create", "from-file", "-f", nested / "Modelfile", cwd="/")
    puna.ok("create", "from-gguf", "-f", model)
    listed = puna.ok("list")
    check("from-file:latest" in listed and "from-gguf:latest" in listed, listed)
    blob = next(path for path in (puna.models / "blobs").iterdir() if path.stat().st_size == model.stat().st_size)
    check(blob.read_bytes() == model.read_bytes(), "the blob differs from the file")
    check(puna.ok("run", "from-gguf", "--option", "num_predict=4", "hello") is not None, "cannot run")


def test_files_that_are_pipes(puna):
    tiny_model(puna)
    modelfile = "FROM ./tiny.gguf\nSYSTEM from a pipe\n"
    pipe = puna.folder / "pipe"
    os.mkfifo(pipe)

    def through_pipe(text, *arguments, **options):
        writer = threading.Thread(target=pipe.write_text, args=(text,), daemon=True)
        writer.start()
        out = puna.ok(*arguments, **options)
        writer.join()
        return out

    through_pipe(modelfile, "create", "piped", "-f", pipe, cwd=puna.folder)
    check(puna.ok("show", "piped", "--system").strip() == "from a pipe", "a pipe")
    puna.ok("create", "piped2", "-f", "/dev/stdin", cwd=puna.folder, stdin=modelfile)
    check(puna.ok("show", "piped2", "--system").strip() == "from a pipe", "/dev/stdin")
    (puna.folder / "other").mkdir()
    (puna.folder / "other" / "Modelfile").write_text(modelfile)
    with open(puna.folder / "other" / "Modelfile", encoding="utf8") as file:
        done = subprocess.run([puna.puna, "create", "piped3", "-f", "/dev/stdin"], env=puna.env, cwd=puna.folder, stdin=file,
                              capture_output=True, check=False)
    check(done.returncode == 0, "a file as /dev/stdin", done.stderr)
    check("no FROM" in puna.error("create", "x", "-f", "/dev/null"), "a device")
    check(through_pipe("{{ x }}", "eval", "template", "--jinja", pipe, stdin='{"x": "y"}') == "y", "a template")
    for command in (("import", pipe), ("create", "x", "-f", "-")):
        check("pipe is n" in puna.error(*command, stdin=f"FROM {pipe}\n"), "weights are regular files", *command)


def test_create_with_draft(puna):
    tiny_model(puna)
    draft = tiny_model(puna, "draft.gguf", kind="F16")
    (puna.folder / "Modelfile.draft").write_text("FROM ./tiny.gguf\nDRAFT ./draft.gguf\n")
    for options, size in (((), draft.stat().st_size), (("--draft-quantize", "Q8_0"), None)):
        code, _, err = puna.run("create", "drafted", "-f", puna.folder / "Modelfile.draft", *options)
        check(code == 0 and "the draft model is kept for Ollama" in err, err)
        manifest = json.loads(next((puna.models / "manifests").glob("*/*/drafted/latest")).read_bytes())
        layers = [layer for layer in manifest["layers"] if layer["mediaType"] == "application/vnd.ollama.image.draft"]
        check(len(layers) == 1, manifest)
        blob = puna.models / "blobs" / layers[0]["digest"].replace(":", "-")
        check(f"DRAFT {blob}" in puna.ok("show", "drafted", "--modelfile"), "show tells of it")
        check(size in (None, blob.stat().st_size), blob.stat().st_size)
        config = json.loads((puna.models / "blobs" / manifest["config"]["digest"].replace(":", "-")).read_bytes())
        check(config["draft"]["model_format"] == "gguf" and config["file_type"] == "Q4_K_M", config)
    check(blob.stat().st_size < draft.stat().st_size, "it was quantized")
    check("FROM itself" in puna.error("create", "x", "-f", "-", cwd=puna.folder, stdin="FROM ./tiny.gguf\nDRAFT ./tiny.gguf\n"),
          "a draft that is the model")
    check("DRAFT ./none.gguf: there is no file" in puna.error("create", "x", "-f", "-", stdin="FROM mini\nDRAFT ./none.gguf\n"),
          "a draft that is not there")
    check("requires a DRAFT model" in puna.error("create", "x", "-f", "-", "--draft-quantize", "Q8_0", stdin="FROM mini\n"),
          "nothing to quantize")


def test_create_uploads_to_a_server_with_another_store(puna):
    model = tiny_model(puna, "other.gguf", kind="Q8_0")
    puna.ok("create", "uploaded", "-f", model, env={"PUNA_MODELS": str(puna.folder / "elsewhere")})
    check("uploaded:latest" in puna.ok("list"), "not listed")
    check(not (puna.folder / "elsewhere").exists(), "the probe left its folder behind")


def test_create_errors(puna):
    check("wasn't found" in puna.error("create", "x", "-f", puna.folder / "none"), "missing Modelfile")
    check(f"FROM {NO_SUCH_MODEL}: neither an installed model nor" in
          puna.error("create", "x", "-f", "-", stdin=f"FROM {NO_SUCH_MODEL}\n"), "unknown FROM")
    check("there is no file" in puna.error("create", "x", "-f", "-", stdin="FROM ./no-such.gguf\n"), "missing file")
    check("line 2" in puna.error("create", "x", "-f", "-", stdin="FROM mini\nFROB 1\n"), "bad command")
    check("no FROM" in puna.error("create", "x", "-f", "-", stdin="SYSTEM hi\n"), "no FROM line")
    (puna.folder / "text.gguf").write_text("not a model")
    puna.error("create", "x", "-f", puna.folder / "text.gguf")
    puna.error("create", "bad name!", "-f", "-", stdin="FROM mini\n")
    with open(puna.folder / "Huge", "w", encoding="utf8") as huge:
        huge.write("FROM mini\n" + "SYSTEM x\n" * 11_000_000)
    message = puna.error("create", "x", "-f", puna.folder / "Huge")
    check("99000010 bytes, the limit is 16777216" in message, message)
    message = puna.error("create", "x", "-f", "-", stdin="FROM mini\n" + "SYSTEM x\n" * 2_000_000)
    check("standard input has more than 16777216 bytes" in message, message)
    broken = puna.folder / "broken.gguf"
    broken.write_text("garbage")
    for command in (("quantize", broken, puna.folder / "out.gguf", "Q8_0"), ("create", "broken", "-f", broken)):
        error = puna.error(*command)
        check(error.count("broken.gguf") == 1 and "expected 'GGUF'" in error, command, error)
    refused = puna.error("create", "a/../b", "-f", ROOT / "models" / "mini.gguf")
    check("invalid model name" in refused and "hashing" not in refused, "before anything is hashed", refused)
    for line in ("RENDERER nobody", "PARSER nobody", "TEMPLATE {{ if }}"):
        refused = puna.error("create", "x", "-f", "-", stdin=f"FROM {ROOT / 'models' / 'mini.gguf'}\n{line}\n")
        check(line.split()[0].lower() in refused and "hashing" not in refused, line, refused)
    check("--imatrix requires --quantize" in puna.error("create", "x", "-f", "-", "--imatrix", "m", stdin="FROM mini\n"),
          "nothing to weigh")
    check("x:latest" not in puna.ok("list"), "nothing is listed")


def test_show(puna):
    text = puna.ok("show", "mini")
    for word in ("Model", "architecture", "parameters", "context length", "quantization", "Capabilities", "completion"):
        check(word in text, word, "is not in", text)
    verbose = puna.ok("show", "mini", "-v")
    check("Metadata" in verbose and "general.architecture" in verbose and "token_embd.weight" in verbose, verbose)
    check(puna.ok("show", "mini", "--template").strip(), "no template")
    check("not found" in puna.error("show", "no-such-model"), "missing model")


def test_ps_and_stop(puna):
    puna.ok("run", "mini", "--keepalive", "10m", "--option", "num_predict=2", "hi")
    lines = puna.ok("ps").splitlines()
    check(re.split(r"\s{2,}", lines[0].strip()) == ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"], lines)
    row = [line for line in lines if line.startswith("mini:latest")]
    check(len(row) == 1 and "100% CPU" in row[0] and "minutes from now" in row[0], lines)
    puna.ok("stop", "mini")
    deadline = time.monotonic() + 20
    while "mini" in puna.ok("ps"):
        check(time.monotonic() < deadline, "still loaded")
        time.sleep(0.1)
    check("couldn't find model \"no-such\" to stop" in puna.error("stop", "no-such"), "unknown model")


def test_cp_and_rm(puna):
    check(puna.ok("cp", "mini", "copy-of-mini") == "copied 'mini' to 'copy-of-mini'\n", "words of cp")
    check("copy-of-mini:latest" in puna.ok("list"), "not listed")
    puna.ok("cp", "copy-of-mini", "second")
    check(puna.ok("rm", "copy-of-mini", "second") == "deleted 'copy-of-mini'\ndeleted 'second'\n", "words of rm")
    check("copy-of-mini" not in puna.ok("list"), "still listed")
    check("not found" in puna.error("rm", "copy-of-mini"), "deleted twice")
    check("not found" in puna.error("cp", "no-such", "x"), "copied nothing")


def test_errors_are_short_and_name_the_name(puna):
    long_name = "x" * 10240
    for command in (("cp", "mini", long_name), ("rm", long_name), ("show", long_name), ("run", long_name, "hi"),
                    ("pull", long_name), ("stop", long_name), ("create", long_name, "-f", "-"), ("import", "/" + long_name),
                    ("quantize", "mini", "out", long_name), ("run", "mini", "--option", f"{long_name}=1", "hi"),
                    ("help", long_name), (long_name,)):
        message = puna.error(*command, stdin="FROM mini\n")
        check(len(message) < 1000 and "xxx...xxx" in message, command[0], len(message), message[:200])
    for command in (("show", "a/../b"), ("run", "a/../b", "hi"), ("pull", "a/../b"), ("stop", "a/../b")):
        check('invalid model name "a/../b": names are' in puna.error(*command), command)


def test_chat_in_a_terminal(puna):
    chat = Terminal(puna, "run", "mini", "--temperature", "0", "--option", "num_predict=16")
    chat.read_until(r"Send a message.*\r\n")
    chat.read_until(r">>> ")
    chat.type("Who are you?\r")
    answer = chat.read_until(r"\n\s*>>> ")
    check(len(re.sub(r"[^a-zA-Z]", "", answer)) > 15, "no answer:", repr(answer))
    chat.type("/set parameter temperature 0.5\r")
    chat.read_until(r"Set parameter 'temperature' to '0.5'")
    chat.type("/set parameter frob 1\r")
    chat.read_until(r"unknown parameter")
    chat.type('/set system """You are\r')
    chat.read_until(r"\.\.\. ")
    chat.type('kind."""\r')
    chat.read_until(r"Set system message\.")
    chat.type("/show system\r")
    chat.read_until(r"You are\r\nkind\.")
    chat.type("/show parameters\r")
    chat.read_until(r"User defined parameters:")
    chat.type("/set verbose\r")
    chat.read_until(r"Set 'verbose' mode\.")
    chat.type('"""one\r')
    chat.read_until(r"\.\.\. ")
    chat.type('two"""\r')
    chat.read_until(r"eval rate:")
    chat.read_until(r">>> ")
    chat.type("/list\r")
    chat.read_until(r"mini:latest")
    chat.type("/save saved-chat\r")
    chat.read_until(r"Created new model 'saved-chat'")
    chat.type("/load no-such-model\r")
    chat.read_until(r"not found")
    chat.type("/load saved-chat\r")
    chat.read_until(r"Who are you\?")  # the conversation that was saved is shown
    chat.read_until(r">>> ")
    chat.type("/clear\r")
    chat.read_until(r"Cleared session context")
    chat.type("/frob\r")
    chat.read_until(r"Unknown command '/frob'")
    chat.type("/?\r")
    chat.read_until(r"/load <model>")
    chat.read_until(r">>> ")
    chat.type("\x03")
    chat.read_until(r"Use Ctrl \+ d or /bye to exit\.")
    chat.read_until(r">>> ")
    chat.type("/bye\r")
    check(chat.wait() == 0, "exit code")
    check("You are" in puna.ok("show", "saved-chat", "--system"), "the system message was not saved")
    history = (puna.folder / ".puna" / "history").read_text()
    check("Who" in history, "no history")


def test_chat_keys(puna):
    chat = Terminal(puna, "run", "mini", "--option", "num_predict=4", env={"PUNA_NOHISTORY": "1"})
    chat.read_until(r">>> ")
    chat.type("/show systex\x7fm\x01\x0b")  # delete a letter, go to the start, delete all
    chat.type("/set quiet\r")
    chat.read_until(r"Set 'quiet' mode\.")
    chat.type("\x1b[200~pasted one\ntwo\x1b[201~\r")  # two lines in one message
    chat.read_until(r"two")
    chat.read_until(r"\n\s*>>> ")
    chat.type("first\nsecond\r")  # Ctrl-J
    chat.read_until(r"second")
    chat.read_until(r"\n\s*>>> ")
    chat.type("\x04")
    check(chat.wait() == 0, "Ctrl-D leaves")


def test_interrupting_an_answer(puna):
    chat = Terminal(puna, "run", "mini", "--option", "num_predict=100000", "--num-ctx", "100000")
    chat.read_until(r">>> ")
    chat.type("Tell me a long story.\r")
    chat.read_until(r"long story\.\r\n")
    chat.read_until(r"[a-z]{2,} ")  # mini's stories are short: no time to lose
    chat.type("\x03")
    chat.read_until(r">>> ", timeout_s=20)
    chat.type("\x04")
    check(chat.wait() == 0, "exit code")


def test_address_in_use(puna):
    message = puna.error("serve")
    check(str(puna.port) in message and "in use" in message, message)


def test_sigterm_ends_the_server(puna):
    check(puna.stop() == 0, "exit code")
    check("could not connect" in puna.error("list"), "no server, and list says so")
    check("puna serve" in puna.error("ps"), "what to do")


# ---------------------------------------------------------------- without a server

def test_run_starts_its_own_server(puna):
    out = puna.ok("run", "mini", "--temperature", "0", "--option", "num_predict=8", "Who are you?")
    check(out.strip(), "no answer")
    check("could not connect" in puna.error("list"), "the server of a command ends with it")


def test_run_a_file_in_place(puna):
    model = tiny_model(puna)
    before = set(puna.models.rglob("*"))
    code, out, err = puna.run("run", model, "--option", "num_predict=4", "--seed", "1", "hello")
    check(code == 0, err)
    check(set(puna.models.rglob("*")) == before, "something was imported")
    chat = Terminal(puna, "run", model)
    chat.read_until(r">>> ")
    chat.type("/save kept\r")
    chat.read_until(r"Created new model 'kept'")
    chat.type("/bye\r")
    check(chat.wait() == 0, "exit code")
    code, out, err = puna.run("run", "kept", "--option", "num_predict=4", "hello")
    check(code == 0, err)


def test_run_at_another_machine(puna):
    check("could not connect" in puna.error("run", "mini", "hi", env={"PUNA_HOST": "192.0.2.1:1"}), "no own server")


def test_synth_shapes(puna):
    for shape, kind in (("tiny", "Q4_K_M"), ("tiny", "F16"), ("tiny-moe", "Q4_K_M"), ("tiny-gemma3", "Q8_0")):
        path = puna.folder / f"{shape}-{kind}.gguf"
        check("wrote" in puna.ok("synth", path, "--shape", shape, "--type", kind), "no word")
        ids = puna.folder / "ids"
        ids.write_text("1 2 3 4 5 6 7 8")
        puna.ok("eval", "logits", path, "--tokens-file", ids, "--out", puna.folder / "logits")
        values = floats(puna.folder / "logits")
        check(len(values) == 8 * 512 and all(map(math.isfinite, values)), shape, kind, len(values))
        spread = math.sqrt(sum(value * value for value in values) / len(values))
        check(0.1 < spread < 30, shape, kind, "logits have size", spread)
        puna.ok("eval", "logits", path, "--tokens-file", ids, "--out", puna.folder / "exact", "--backend", "reference",
                "--kv-type", "f32")
        exact = floats(puna.folder / "exact")
        error = sum((a - b) ** 2 for a, b in zip(values, exact)) / sum(b * b for b in exact)
        check(error < 0.02, shape, kind, "cpu and reference differ by", error)
    check("unknown shape" in puna.error("synth", puna.folder / "x.gguf", "--shape", "frob"), "unknown shape")
    os.mkfifo(puna.folder / "pipe")
    check("not a regular file" in puna.error("synth", puna.folder / "pipe", "--shape", "tiny"), "a pipe")
    check((puna.folder / "pipe").is_fifo(), "it is no pipe any more")
    check("type 'Q9'" in puna.error("synth", puna.folder / "x.gguf", "--shape", "tiny", "--type", "Q9"), "unknown type")


def test_bench(puna):
    model = tiny_model(puna)
    out = puna.ok("bench", model, "-p", "32", "-n", "8", "-d", "0,64", "-u", "1,4", "-r", "2", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    check([(row["test"], row["depth"], row["users"]) for row in rows] == [
        ("prompt", 0, 1), ("generate", 0, 1), ("generate", 0, 4), ("prompt", 64, 1), ("generate", 64, 1),
        ("generate", 64, 4)], rows)
    check(all(row["tokens_per_second"] > 0 and "n_prompt" in row and "n_gen" in row for row in rows), rows)
    table = puna.ok("bench", model, "-p", "16", "-n", "4", "-u", "1", "-r", "1", "-t", "1", "--kv-type", "q8_0")
    check("prompt 16" in table and "generate 4" in table, table)
    check(all(row["prompt_macs_per_token"] > 0 and row["bytes_per_token"] > 0 for row in rows), rows)
    machine = json.loads(puna.ok("bench", "--machine", "--json", "-t", "1"))
    check(machine["threads"] == 1 and machine["read_gb_per_second"] > 0, machine)
    puna.error("bench", puna.folder / "none.gguf")
    check("no model" in puna.error("bench"), "bench without a model")


def test_eval_chunks_agree(puna):
    model = tiny_model(puna)
    ids = puna.folder / "chunk-ids"
    ids.write_text(" ".join(str(i % 200) for i in range(40)))
    outputs = []
    for chunk in (1, 7, 64):
        puna.ok("eval", "logits", model, "--tokens-file", ids, "--out", puna.folder / "chunked", "--chunk", chunk,
                "--backend", "reference", "--kv-type", "f32")
        outputs.append(floats(puna.folder / "chunked"))
    for other in outputs[1:]:
        check(max(abs(a - b) for a, b in zip(outputs[0], other)) < 1e-3, "chunks change the result")


def test_eval_oracles(puna):
    """The small reference models of the tests, through the command."""
    names = sorted(path.name.removesuffix(".gguf") for path in ORACLES.glob("*.gguf"))
    if not names:
        raise Skip("no tests/data/oracles")
    for name in names:
        kind = "embedding" if "-pool" in name else "logits"
        for backend, limit in (("reference", 1e-8), ("cpu", 1e-6)):
            puna.ok("eval", kind, ORACLES / f"{name}.gguf", "--tokens-file", ORACLES / f"{name}.tokens", "--out",
                    puna.folder / "oracle", "--backend", backend, "--kv-type", "f32")
            expected = floats(ORACLES / f"{name}.expected.f32")
            actual = floats(puna.folder / "oracle")
            check(len(actual) == len(expected), name, len(actual), len(expected))
            error = sum((a - b) ** 2 for a, b in zip(actual, expected)) / sum(b * b for b in expected)
            check(error < limit, name, backend, "NMSE", error)


def test_eval_tokenize_and_dequantize(puna):
    mini = ROOT / "models" / "mini.gguf"
    ids = puna.ok("eval", "tokenize", mini, stdin="Hello there").split()
    check(ids and all(word.isdigit() for word in ids), ids)
    check(puna.ok("eval", "tokenize", mini, stdin="") == "\n", "nothing is an empty line")
    check(puna.ok("eval", "tokenize", "mini", stdin="Hello there").split() == ids, "by name")
    model = tiny_model(puna)
    puna.ok("eval", "dequantize", model, "--tensor", "output_norm.weight", "--out", puna.folder / "norm")
    values = floats(puna.folder / "norm")
    check(len(values) == 256 and 0.9 < sum(values) / 256 < 1.1, "norm weights are around 1")
    puna.ok("eval", "dequantize", model, "--tensor", "blk.0.attn_q.weight", "--out", puna.folder / "q")
    check(len(floats(puna.folder / "q")) == 256 * 256, "attn_q")
    check("no tensor" in puna.error("eval", "dequantize", model, "--tensor", "x", "--out", puna.folder / "x"), "no tensor")


def test_eval_perplexity(puna):
    text = puna.folder / "text"
    text.write_text("Hello there, who are you? I am puna, a program that runs language models. " * 20)
    out = puna.ok("eval", "perplexity", "mini", "--text", text, "--ctx", "64")
    match = re.match(r"perplexity ([0-9.]+) \+/- ([0-9.]+), tokens (\d+), windows (\d+) of 64 tokens\n", out)
    check(match, repr(out))
    check(int(match[3]) == int(match[4]) * 31, "31 of 64 tokens of a window are scored")
    check(1 < float(match[1]) < 5000, out)


def test_eval_template_and_schema(puna):
    (puna.folder / "t.jinja").write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}")
    case = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
    check(puna.ok("eval", "template", "--jinja", puna.folder / "t.jinja", stdin=case) == "[user] hi\n", "jinja")
    (puna.folder / "t.go").write_text("{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}")
    check(puna.ok("eval", "template", "--go", puna.folder / "t.go", stdin=case) == "<user>hi", "go")
    puna.error("eval", "template", "--jinja", puna.folder / "t.jinja", stdin="not json")
    puna.error("eval", "template", stdin=case)
    schema = puna.folder / "schema.json"
    schema.write_text(json.dumps({"properties": {"a": {"type": "integer"}, "b": {"maxLength": 2}}, "required": ["a"]}))
    puna.ok("eval", "schema", schema, stdin='{"b": "xy", "c": [1, 2], "a": 1.0}')
    puna.ok("eval", "schema", schema, stdin='"not an object"')
    for wrong in ('{"b": "xy"}', '{"a": 1.5}', '{"a": 1, "b": "xyz"}'):
        puna.error("eval", "schema", schema, stdin=wrong, code=1)
    puna.error("eval", "schema", schema, stdin="{", code=2)
    schema.write_text('{"items": {"uniqueItems": true}}')
    check("uniqueItems" in puna.error("eval", "schema", schema, stdin="1", code=2), "the keyword is named")


def test_golden_model(puna):
    folder = shared_path("data/models/tinystories-656K")
    if folder is None:
        raise Skip("no shared test data")
    golden = json.loads((folder / "golden.json").read_text())
    model = next(folder.glob("*.gguf"))
    for case in golden["cases"]:
        prompt, greedy = case["prompt_ids"], case["greedy_ids"][:24]
        ids = puna.folder / "golden-ids"
        ids.write_text(" ".join(map(str, prompt + greedy)))
        puna.ok("eval", "logits", model, "--tokens-file", ids, "--out", puna.folder / "golden", "--backend", "reference",
                "--kv-type", "f32")
        values = floats(puna.folder / "golden")
        vocabulary = len(values) // len(prompt + greedy)
        rows = [values[i * vocabulary:(i + 1) * vocabulary] for i in range(len(prompt + greedy))]
        for token, logit in case["logits_after_prompt_top5"]:
            check(abs(rows[len(prompt) - 1][token] - logit) < 1e-3, case["prompt"], token, logit)
        chosen = [max(range(vocabulary), key=row.__getitem__) for row in rows[len(prompt) - 1:-1]]
        check(chosen == greedy, case["prompt"], chosen, greedy)
    for prompt, text in golden["llama_cpp_expected"].items():
        # The file has no chat template, so the prompt is what the model sees. Two of its tokens are nearly tied, so
        # that only exact arithmetic has to choose the same.
        out = puna.ok("run", model, "--temperature", "0", "--option", "num_predict=14", prompt,
                      env={"PUNA_DEVICE": "reference", "PUNA_KV_CACHE_TYPE": "f32"}).strip()
        check(len(out) > 20 and text.strip().startswith(out), repr(out), "is not the beginning of", repr(text))


if __name__ == "__main__":
    main((Puna, (test_version_and_help, test_unknown_arguments, test_list, test_run_one_prompt,
                 test_run_reads_standard_input, test_run_errors, test_output_that_cannot_be_written, test_create_from_model, test_create_from_gguf,
                 test_files_that_are_pipes,
                 test_create_with_draft, test_create_uploads_to_a_server_with_another_store, test_create_errors, test_show, test_ps_and_stop,
                 test_cp_and_rm, test_errors_are_short_and_name_the_name, test_chat_in_a_terminal, test_chat_keys, test_interrupting_an_answer,
                 test_address_in_use, test_sigterm_ends_the_server)),
         (without_server, (test_run_starts_its_own_server, test_run_a_file_in_place, test_run_at_another_machine,
                           test_synth_shapes, test_bench, test_eval_chunks_agree, test_eval_oracles,
                           test_eval_tokenize_and_dequantize, test_eval_perplexity, test_eval_template_and_schema,
                           test_golden_model)))
