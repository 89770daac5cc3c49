#!/usr/bin/env python3
"""The chat at a terminal, key by key and command by command. A stand-in for the server says what it was told to and
records what it was asked, so that nothing depends on what a model would say."""
import contextlib
import http.server
import json
import os
import pathlib
import re
import select
import shutil
import tempfile
import threading
import types
import unicodedata

from cli_e2e import Terminal, check
from puna_server import equal, main, soon

COLUMNS = 60  # of Terminal
WORDS = "seven words of an answer that wraps around "
LONG = ("A line of words, " * 12 + "\n\n" + "これは空白のない長い文章です。" * 6 + "\n\n" + "mixed 漢字 and words " * 8
        + "\n\nuntilaverylongwordcomesthatisbroken" + "x" * 100 + " and goes on\n")
CODE = "def f(a_name_that_is_long, another_name_that_is_long, third_name_that_is_long):\n    return  1,   2\n"
ANSWERS = {"wrap": LONG, "code": "Look:\n\n```python\n" + CODE + "```\n\nThat was " + "it and more " * 8}
EARLIER = [{"role": "user", "content": "what?"}, {"role": "assistant", "content": "A line of words, " * 12}]
MODEL = {"details": {"family": "llama", "parameter_size": "1B", "quantization_level": "Q8_0", "parent_model": ""},
         "model_info": {"general.architecture": "llama", "llama.context_length": 4096}, "capabilities": ["completion", "thinking"],
         "license": "Free\nas air", "modelfile": "FROM stand-in", "parameters": "top_k 7", "system": "Be brief.",
         "template": "{{ .Prompt }}"}


class StandIn:
    """Answers like the API; `asked` has the bodies of what came, by path."""

    def __init__(self):
        stand_in = self
        self.messages = {"talker": EARLIER}  # that models begin with
        self.asked, self.ended, self.go_on, self.changed = [], threading.Event(), threading.Event(), threading.Condition()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.reply(b"")

            def do_GET(self):
                self.reply(json.dumps({"models": [{"name": "stand-in:latest", "digest": "0" * 64, "size": 5, "details": {},
                                                   "modified_at": "2024-01-01T00:00:00Z"}]}).encode())

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
                with stand_in.changed:
                    stand_in.asked.append((self.path, body))
                    stand_in.changed.notify_all()
                if self.path == "/api/show":
                    missing = body["model"] == "nobody"
                    model = dict(MODEL, system=body.get("system", MODEL["system"]))
                    if body["model"] in stand_in.messages:
                        model["messages"] = stand_in.messages[body["model"]]
                    if body["model"] == "plain":
                        model["capabilities"] = ["completion"]
                    return self.reply(json.dumps({"error": "model 'nobody' not found"} if missing else model).encode(),
                                      404 if missing else 200)
                if self.path == "/api/create" and body.get("messages"):
                    stand_in.messages[body["model"].lower().removesuffix(":latest")] = body["messages"]
                if self.path != "/api/chat" or not body.get("messages"):
                    return self.reply(b'{"done": true, "status": "success"}\n')
                text = body["messages"][-1]["content"]
                if text == "slow":
                    stand_in.go_on.wait(60)
                more = {"prompt_truncated_count": 7} if text == "much" else {}
                return self.stream(WORDS if text == "endless" else ANSWERS.get(text, "ok"), text == "endless", more)

            def reply(self, body, status=200):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def stream(self, text, endless, more):
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()

                def line(**fields):
                    data = json.dumps(fields).encode() + b"\n"
                    self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

                try:
                    while True:
                        for at in range(0, len(text), 7):  # pieces that respect no word
                            line(message={"role": "assistant", "content": text[at:at + 7]}, done=False)
                        if not endless:
                            break
                    line(message={"role": "assistant", "content": ""}, done=True, eval_count=3, eval_duration=10 ** 9, **more)
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    stand_in.ended.set()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def last(self, path="/api/chat"):
        with self.changed:
            return [body for asked, body in self.asked if asked == path][-1]


class Session:
    """`puna` at a terminal before the stand-in, as Terminal wants its program."""

    def __init__(self, build):
        self.puna = str(build / "bin" / "puna")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="puna-terminal-"))
        self.stand_in = StandIn()
        kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.endswith("SAN_OPTIONS")}
        self.env = {**kept, "HOME": str(self.folder), "PUNA_HOST": f"127.0.0.1:{self.stand_in.server.server_port}", "TERM": "xterm",
                    "LC_ALL": "C.UTF-8"}

    def chat(self, *arguments, env=None):
        terminal = Terminal(self, "run", "stand-in", *arguments, env=env)
        terminal.read_until(r"Send a message.*\r\n")
        terminal.read_until(r">>> ")
        return terminal


@contextlib.contextmanager
def session(build):
    opened = Session(build)
    try:
        yield opened
    finally:
        opened.stand_in.server.shutdown()
        shutil.rmtree(opened.folder, ignore_errors=True)


def ask(chat, keys):
    """Types, and waits for the answer and the prompt behind it."""
    chat.type(keys + "\r")
    chat.read_until(r"\n(Thinking|ok\b)")
    chat.read_until(r">>> ")


def leave(chat):
    chat.type("\x04")
    equal(0, chat.wait())


def say_goodbye(chat):
    """As a line, which counts also where it is typed before the prompt is there."""
    chat.type("/bye\r")
    equal(0, chat.wait())


# What is typed, and the message that it becomes.
KEYS = [
    ("Ctrl-A", "abc\x01X", "Xabc"), ("Ctrl-E", "abc\x01\x05X", "abcX"), ("Ctrl-B", "abc\x02X", "abXc"),
    ("Ctrl-F", "abc\x01\x06X", "aXbc"), ("Left", "abc\x1b[DX", "abXc"), ("Right", "abc\x01\x1b[CX", "aXbc"),
    ("Left of an application keypad", "abc\x1bODX", "abXc"), ("Home", "abc\x1b[HX", "Xabc"), ("End", "abc\x01\x1b[FX", "abcX"),
    ("Home as 1~", "abc\x1b[1~X", "Xabc"), ("End as 4~", "abc\x01\x1b[4~X", "abcX"), ("Home as O", "abc\x1bOHX", "Xabc"),
    ("End as O", "abc\x01\x1bOFX", "abcX"), ("Alt-B", "one two\x1bbX", "one Xtwo"), ("Alt-F", "one two\x01\x1bfX", "oneX two"),
    ("Ctrl-Left", "one two\x1b[1;5DX", "one Xtwo"), ("Ctrl-Right", "one two\x01\x1b[1;5CX", "oneX two"),
    ("Ctrl-K", "abcdef\x02\x02\x02\x0b", "abc"), ("Ctrl-U", "abcdef\x02\x02\x02\x15", "def"), ("Ctrl-W", "one two\x17X", "one X"),
    ("Alt-Backspace", "one two\x1b\x7fX", "one X"), ("Ctrl-H", "abc\x08", "ab"), ("Backspace", "abc\x7f", "ab"),
    ("Del", "abc\x01\x1b[3~", "bc"), ("Ctrl-D in a line", "abc\x01\x04", "bc"), ("Tab", "a\tb", "a        b"),
    ("Ctrl-J", "a\nb", "a\nb"), ("Ctrl-L", "abc\x0cd", "abcd"), ("a wide character is one", "日本語\x7f\x02X", "日X本"),
]


def keys(session):
    chat = session.chat()
    for name, typed, expected in KEYS:
        ask(chat, typed)
        equal(expected, session.stand_in.last()["messages"][-1]["content"], name)
    leave(chat)


class Screen:
    """The rows that a terminal shows after what the editor of lines sends: text, CR, LF, up, and clear to the end."""

    def __init__(self, chat):
        self.chat, self.rows, self.row, self.column = chat, [""], 0, 0

    def show(self):
        raw = ""
        while select.select([self.chat.fd], [], [], 0.5)[0]:
            raw += os.read(self.chat.fd, 65536).decode("utf8", "replace")
        for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", raw, re.S):
            if piece.endswith("A") and len(piece) > 1:
                self.row -= int(piece[2:-1])
            elif piece == "\x1b[J":
                self.rows[self.row:] = [self.rows[self.row][:self.column]]
            elif piece == "\r":
                self.column = 0
            elif piece == "\n":
                self.row += 1
                self.rows += [""] * (self.row == len(self.rows))
            elif not piece.startswith("\x1b"):  # only at the end of a row, or over the same text
                self.rows[self.row] = self.rows[self.row][:self.column] + piece + self.rows[self.row][self.column + 1:]
                self.column += 1
        for row in self.rows:
            check(width_of(row) <= COLUMNS, "wider than the terminal:", row)
        return self.rows


# Keys one after the other, and the rows that they lead to; where there are several, it is each time the whole line.
LONG_LINE = "これは日本語の長い文章です。改行の位置を確かめますそしてもう一度続きます"
EDITS = [
    (LONG_LINE, [">>> " + LONG_LINE[:28], LONG_LINE[28:]]), ("\x01\x06入", [">>> こ入" + LONG_LINE[1:27], LONG_LINE[27:]]),
    ("\x05\x7f\x7f", [">>> こ入" + LONG_LINE[1:27], LONG_LINE[27:-2]]), ("\x15", [">>> "]),
    ("e\u0301👨‍👩‍👧!", [">>> e\u0301👨‍👩‍👧!"]), ("\x02\x7f", [">>> e\u0301!"]), ("\x02\x06x", [">>> e\u0301x!"]), ("\x05\x15", [">>> "]),
    ("x" * 56, [">>> " + "x" * 56, ""]), ("y", [">>> " + "x" * 56, "y"]), ("\x7f\x7f", [">>> " + "x" * 55]),
    ("\x01\x1b[200~one\ntwo \x1b[201~", [">>> one", "two " + "x" * 55]), ("\x1b[A\x05,", [">>> one,", "two " + "x" * 55]),
]


def wide_characters(session):
    chat = session.chat()
    screen = Screen(chat)
    screen.rows, screen.column = [">>> "], 4
    for typed, expected in EDITS:
        chat.type(typed)
        rows = soon(lambda: screen.show() if screen.rows == expected or screen.show() == expected else None, (typed, expected, screen.rows))
        equal(expected, rows)
    ask(chat, "")
    equal("one,\ntwo " + "x" * 55, session.stand_in.last()["messages"][-1]["content"])
    leave(chat)


def earlier_lines(session):
    chat = session.chat()
    for text in ("first", "second", "third"):
        ask(chat, text)
    for keys, expected in (("\x10", "third"), ("\x10\x10\x10\x0e", "second"), ("\x1b[A\x1b[A\x1b[A\x1b[B", "third"),
                           ("\x1bOA!", "third!"), ("\x12firs\x1b\x05", "first")):
        ask(chat, keys)
        equal(expected, session.stand_in.last()["messages"][-1]["content"], repr(keys))
    leave(chat)
    lines = (session.folder / ".puna" / "history").read_text()
    check("second" in lines and oct((session.folder / ".puna" / "history").stat().st_mode)[-3:] == "600", lines)
    chat = session.chat(env={"PUNA_NOHISTORY": "1"})
    ask(chat, "unseen")
    leave(chat)
    check("unseen" not in (session.folder / ".puna" / "history").read_text(), "no history")


def many_lines(session):
    """A paste is one message, however many lines it has; lines between three quotes are too."""
    chat = session.chat()
    text = "\n".join(f"line {i} of a paste, with some words behind it" for i in range(300))
    chat.type(f"\x1b[200~{text}\x1b[201~")
    chat.read_until(r"line 299 of a paste")
    ask(chat, "")
    equal(text, session.stand_in.last()["messages"][-1]["content"])
    for text in ("/* a comment */\nint x;", "/clear\nis no command here"):
        ask(chat, f"\x1b[200~{text}\x1b[201~")
        equal(text, session.stand_in.last()["messages"][-1]["content"])
    chat.type("slow\r")
    soon(lambda: session.stand_in.last()["messages"][-1]["content"] == "slow", "the question")
    chat.type("\x1b[200~pasted\rmeanwhile\x1b[201~")
    chat.read_until("meanwhile")
    session.stand_in.go_on.set()
    chat.read_until(r">>> pasted")
    ask(chat, "!")
    equal("pasted\nmeanwhile!", session.stand_in.last()["messages"][-1]["content"])
    chat.type('"""one\r')
    chat.read_until(r"\.\.\. ")
    chat.type("  two\r")
    chat.read_until(r"\.\.\. ")
    ask(chat, 'three"""')
    equal("one\n  two\nthree", session.stand_in.last()["messages"][-1]["content"])
    leave(chat)


def editor(session):
    script = session.folder / "editor"
    script.write_text('#!/bin/sh\nprintf "%s, edited\\nin two lines\\n" "$(cat "$1")" > "$1.new"\nmv "$1.new" "$1"\n')
    script.chmod(0o755)
    nobody = {name: "" for name in ("PUNA_EDITOR", "OLLAMA_EDITOR", "VISUAL", "EDITOR")}
    for names in (("OLLAMA_EDITOR",), ("VISUAL",), ("EDITOR",)):
        chat = session.chat(env={**nobody, **{name: str(script) for name in names}})
        chat.type("typed\x07")
        chat.read_until("in two lines")
        ask(chat, "!")
        equal("typed, edited\nin two lines!", session.stand_in.last()["messages"][-1]["content"])
        leave(chat)


def suspended(session):
    """By a shell, which is what continues a program."""
    shell = types.SimpleNamespace(puna="/bin/bash", env={**session.env, "PS1": "shell> "})
    chat = Terminal(shell, "--norc", "--noprofile", "-i")
    chat.read_until("shell> ")
    chat.type(f"{session.puna} run stand-in\r")
    chat.read_until(r">>> ")
    chat.type("half\x1a")
    chat.read_until("Stopped.*\n")
    chat.read_until("shell> ")
    chat.type("fg\r")
    chat.read_until(">>> half")
    ask(chat, " and half")
    equal("half and half", session.stand_in.last()["messages"][-1]["content"])
    chat.type("/bye\r")
    chat.read_until("shell> ")
    chat.type("exit\r")
    equal(0, chat.wait())


def interrupted(session):
    """Ctrl-C ends the answer, at the server too, and nothing else."""
    chat = session.chat()
    for _ in range(2):
        session.stand_in.ended.clear()
        chat.type("endless\r")
        chat.read_until("seven words")
        chat.type("\x03")
        chat.read_until(r">>> ", timeout_s=30)
        check(session.stand_in.ended.wait(30), "the server goes on")
    ask(chat, "and now")
    roles = [message["role"] for message in session.stand_in.last()["messages"]]
    equal(["user", "assistant"] * 2 + ["user"], roles)
    check(session.stand_in.last()["messages"][1]["content"].startswith("seven words"), "what was said is kept")
    chat.type("dropped\x03")
    chat.read_until(r"Use Ctrl \+ d or /bye to exit\.")
    chat.read_until(r">>> ")
    leave(chat)


def shown(chat, question):
    """The lines of an answer as they come to the terminal."""
    chat.type(question + "\r")
    text = chat.read_until(r"\n\r?\n\r?>>> ")
    return text.replace("\r\n", "\n").split(question + "\n", 1)[1].removesuffix(">>> ").rstrip("\r").split("\n")


def width_of(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def long_answers(session):
    chat = session.chat()
    lines = [re.sub(r"^.*\r", "", line) for line in shown(chat, "wrap")]
    for line in lines:
        check(width_of(line) <= COLUMNS, width_of(line), line)
    equal(re.sub(r"\s", "", LONG), re.sub(r"\s", "", "".join(lines)), "nothing is lost")
    first = lines[:lines.index("")]
    for line in first:
        check(re.fullmatch(r"(A|line|of|words,)( (A|line|of|words,))* ?", line), "words stay whole:", line)
    check(len(first) == 4 and all(len(line) > COLUMNS - 9 for line in first[:-1]), "lines are filled:", first)
    wide = lines[lines.index("") + 1]
    check(width_of(wide) in (COLUMNS - 1, COLUMNS), "wide characters count twice:", wide, width_of(wide))
    chat.type("/load talker\r")
    chat.read_until(r">>> what\?\r\n")
    earlier = chat.read_until(r">>> ").split("\r\n")[:4]
    check(all(re.fullmatch(r"(A|line|of|words,)( (A|line|of|words,))* ?", line) for line in earlier), "also of the model:", earlier)
    chat.type("/set nowordwrap\r")
    chat.read_until(r"Set 'nowordwrap' mode")
    chat.read_until(r">>> ")
    check("A line of words, " * 12 in shown(chat, "wrap"), "left to the terminal")
    leave(chat)


def another_width(session):
    """The window becomes narrower and wider while an answer comes."""
    chat = session.chat()
    chat.type("endless\r")
    chat.read_until("wraps around")
    for columns in (30, 90):
        chat.resize(columns)
        chat.read_until("(?s).{30000}")  # what was under way
        lines = chat.read_until("(?s).{2000}").split("\r\n")[1:-1]
        check(lines and all(columns - 8 < len(line) <= columns for line in lines), columns, lines)
    chat.type("\x03")
    chat.read_until(r">>> ", timeout_s=30)
    leave(chat)


def conversations_that_outgrow_the_context(session):
    """They go on, and that something is left out is said once, and once more after /clear."""
    chat = session.chat()
    for question, told in (("much", 1), ("much", 0), ("/clear", 0), ("much", 1)):
        chat.type(question + "\r")
        chat.read_until(r"\nok|Cleared")
        equal(told, chat.read_until(r">>> ").count("oldest messages are left out"), question)
    check(session.stand_in.last()["truncate"] is True, session.stand_in.last())
    leave(chat)


def blocks_of_code(session):
    chat = session.chat()
    lines = shown(chat, "code")
    for line in CODE.splitlines():
        check(line in lines, "broken:", repr(line), lines)
    after = lines[lines.index("```") + 1:]
    check(len([line for line in after if line.strip()]) > 1, "text behind a block wraps again:", after)
    leave(chat)


# A line, what the terminal shows, and what the next question carries.
COMMANDS = [
    ("/set parameter temperature 0.25", "Set parameter 'temperature' to '0.25'", lambda q: q["options"]["temperature"] == 0.25),
    ("/set parameter stop END STOP", "Set parameter 'stop' to 'END, STOP'", lambda q: q["options"]["stop"] == ["END", "STOP"]),
    ("/set parameter nonsense 1", "unknown parameter", lambda q: "nonsense" not in q["options"]),
    ("/set parameter", "Usage: /set parameter", None),
    ("/set system Speak plainly.", "Set system message", lambda q: {"role": "system", "content": "Speak plainly."} in q["messages"]),
    ("/set format json", "Set format to 'json' mode", lambda q: q["format"] == "json"),
    ("/set noformat", "Disabled format", lambda q: not q.get("format")),
    ("/set nothink", "Set 'nothink' mode", lambda q: q["think"] is False),
    ("/set think high", "Set 'think' mode", lambda q: q["think"] == "high"),
    ("/set think", "Set 'think' mode", lambda q: q["think"] is True),
    ("/set history", "Set 'history' mode", None), ("/set nohistory", "Set 'nohistory' mode", None),
    ("/set wordwrap", "Set 'wordwrap' mode", None), ("/set nowordwrap", "Set 'nowordwrap' mode", None),
    ("/set verbose", "Set 'verbose' mode", None), ("/set quiet", "Set 'quiet' mode", None),
    ("/set nonsense", "Unknown command '/set nonsense'", None), ("/set", "/set parameter <name> <value>", None),
    ("/show info", "context length +4096", None), ("/show license", "as air", None), ("/show modelfile", "FROM stand-in", None),
    ("/show parameters", "top_k +7", None), ("/show system", "Speak plainly", None), ("/show template", r"\{\{ \.Prompt \}\}", None),
    ("/show", "/show modelfile", None), ("/show nonsense", "Unknown command '/show nonsense'", None),
    ("/list", r"stand-in:latest +000000000000 +5 B", None), ("/load nobody", "not found", None),
    ("/load", "Usage", None), ("/save", "Usage", None), ("/load other model", "Usage", None), ("/save a b c", "Usage", None), ("/save copy", "Created new model 'copy'", None),
    ("/clear", "Cleared session context", lambda q: [m["role"] for m in q["messages"]] == ["system", "user"]),
    ("/load other", ">>> ", lambda q: q["model"] == "other"),
    ("/?", "/load <model>", None), ("/help", "/save <model>", None), ("/? set", "/set noformat", None), ("/help show", "/show template", None),
    ("/? shortcuts", r"Ctrl \+ g", None), ("/nonsense", r"Unknown command '/nonsense'\. Type /\? for help", None),
]


def slash_commands(session):
    chat = session.chat()
    for typed, expected, carried in COMMANDS:
        chat.type(typed + "\r")
        chat.read_until(re.escape(typed))
        chat.read_until(expected)
        if expected != ">>> ":
            chat.read_until(">>> ")
        if carried:
            ask(chat, "next")
            check(carried(session.stand_in.last()), typed, session.stand_in.last())
    saved = session.stand_in.last("/api/create")
    equal(("copy", "stand-in", "Speak plainly."), (saved["model"], saved["from"], saved["system"]))
    check(saved["parameters"]["temperature"] == 0.25 and saved["messages"][0]["role"] == "user", saved)
    shown = [body for path, body in session.stand_in.asked if path == "/api/show" and "options" in body][0]
    equal(("stand-in", "Speak plainly.", 0.25), (shown["model"], shown["system"], shown["options"]["temperature"]))
    chat.type("/exit\r")
    equal(0, chat.wait())


def saved_under_its_own_name(session):
    """What was saved comes from the server from then on."""
    chat = session.chat()
    for name, sent in (("another", 3), ("Stand-In:latest", 1), ("stand-in", 1)):
        ask(chat, "question")
        chat.type(f"/save {name}\r")
        chat.read_until("Created new model")
        chat.read_until(">>> ")
        ask(chat, "next")
        equal(sent, len(session.stand_in.last()["messages"]), name)
    equal(10, len(session.stand_in.last("/api/create")["messages"]), "what was saved first, and what followed")
    say_goodbye(chat)


def thinking_is_the_models(session):
    """Unless somebody has said whether to think."""
    chat = session.chat()
    for typed, expected in (("", True), ("/load plain", None), ("/load talker", True), ("/set nothink", False),
                            ("/load plain", False), ("/load stand-in", False)):
        if typed:
            chat.type(typed + "\r")
            chat.read_until(">>> ")
            if typed == "/load talker":
                chat.read_until(">>> ")  # that before an earlier question came first
        ask(chat, "next")
        equal(expected, session.stand_in.last().get("think"), typed)
    say_goodbye(chat)


if __name__ == "__main__":
    main((session, (keys, wide_characters, earlier_lines, many_lines, editor, suspended, interrupted, long_answers, another_width,
                    conversations_that_outgrow_the_context, blocks_of_code, slash_commands, saved_under_its_own_name,
                    thinking_is_the_models)))
