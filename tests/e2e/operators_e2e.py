#!/usr/bin/env python3
"""What operators see and do: the log, the counters, signals, and settings that are wrong."""
import contextlib
import hashlib
import os
import pathlib
import pty
import re
import signal
import tempfile

from puna_server import Server, contains, equal, main, soon

HELLO = {"model": "mini", "prompt": "Hello", "stream": False, "options": {"num_predict": 2, "temperature": 0, "stop": ["secret word"]}}


def line_of(server, identity):
    """The line that the request with this id has in the log."""
    return soon(lambda: re.search(rf"info {identity} (.*)", server.log_text()), f"a line for {identity}")[1]


def keys_text(**keys):
    return "".join(f"{name} {hashlib.sha256(key.encode()).hexdigest()}\n" for name, key in keys.items())


@contextlib.contextmanager
def server_with_keys(build):
    with tempfile.TemporaryDirectory(prefix="puna-operators-") as folder:
        keys = pathlib.Path(folder) / "keys"
        keys.write_text(keys_text(alice="secret", bob="other"))
        with Server(build, new_session=True, PUNA_API_KEYS=str(keys), PUNA_DEBUG="1") as server:
            server.keys = keys
            yield server


def status_of(server, path="/api/version", key="secret"):
    return server.request("GET", path, headers={"Authorization": f"Bearer {key}"}).status


def lines_say_who_and_why(server):
    def ask(identity, path, body, key="secret"):
        return server.post(path, body, headers={"X-Request-Id": identity, "x-api-key": key})
    equal(200, ask("good", "/api/generate", HELLO).status)
    contains(" ms, status 200, key alice, model mini", line_of(server, "good"))
    equal(404, ask("absent", "/v1/messages", {"model": "nothing", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}).status)
    contains(" ms, status 404, key alice, model nothing: model 'nothing' not found", line_of(server, "absent"))
    equal(400, ask("split", "/api/generate", {"model": "nothing\nhere", "prompt": "x"}).status)
    contains(" ms, status 400, key alice, model nothing\\nhere: ", line_of(server, "split"))
    equal(401, ask("stranger", "/api/generate", HELLO, key="wrong").status)
    equal(True, line_of(server, "stranger").endswith(", status 401: unauthorized: the request shows no valid API key"))
    equal(403, server.request("GET", "/api/tags", headers={"X-Request-Id": "rebound", "Host": "evil.example"}).status)
    contains(', status 403: host "evil.example" is not allowed', line_of(server, "rebound"))


def anthropic_errors_have_the_id_of_the_log(server):
    for headers in ({"X-Request-Id": "mine"}, {}):
        reply = server.post("/v1/messages", {"model": "mini"}, headers={"x-api-key": "secret", **headers})
        equal(400, reply.status)
        equal(reply.headers["x-request-id"], reply.json()["request_id"])


def debug_tells_of_generations(server):
    server.post("/api/generate", HELLO, headers={"X-Request-Id": "told", "x-api-key": "secret"})
    line_of(server, "told")
    log = server.log_text()
    line = re.search(r"debug told (.*)", log)
    if not line or not re.match(r"mini:latest: options set: num_predict=2 temperature=0 stop; prompt of \d+ tokens, \d+ of them cached; 2 tokens out; "
                                r"\d+\.\d ms in the queue, \d+\.\d ms to load, first token after \d+\.\d ms, end after \d+\.\d ms: length$",
                                line[1]):
        raise AssertionError(log)
    if "secret word" in log:
        raise AssertionError("the log has what was to be private")


def counters(server):
    """Of requests: {labels: count}."""
    text = server.request("GET", "/metrics", headers={"x-api-key": "secret"}).body.decode()
    contains("# TYPE puna_http_requests_total counter\n", text)
    return {labels: int(count) for labels, count in re.findall(r"^puna_http_requests_total\{(.*)\} (\d+)$", text, re.M)}


def requests_are_counted_by_route_method_and_status(server):
    before = counters(server)
    asked = [("GET", "/api/tags", "secret", 'route="/api/tags",method="GET",code="200"'),
             ("GET", "/api/tags/", "secret", 'route="/api/tags",method="GET",code="200"'),
             ("GET", "/api/tags", "wrong", 'route="/api/tags",method="GET",code="401"'),
             ("BREW", "/api/tags", "secret", 'route="/api/tags",method="other",code="405"'),
             ("GET", "/v1/models/one", "secret", 'route="/v1/models/**",method="GET",code="404"'),
             ("GET", '/strange"path', "secret", 'route="other",method="GET",code="404"'),
             ("GET", "/another", "secret", 'route="other",method="GET",code="404"')]
    for method, path, key, _ in asked:
        server.request(method, path, headers={"x-api-key": key})

    def counted():
        after = counters(server)
        return all(after.get(labels, 0) - before.get(labels, 0) == [label for *_, label in asked].count(labels)
                   for *_, labels in asked)
    soon(counted, "the counters of all requests")


def probes_need_no_key_with_a_slash_behind(server):
    for path in ("/health", "/health/", "/ready", "/ready/", "/"):
        equal(200, server.request("GET", path).status, path)
    equal(401, server.request("GET", "/metrics/").status)


def a_hangup_reads_the_keys_again(server):
    server.keys.write_text(keys_text(alice="secret", carol="new"))
    equal(401, status_of(server, key="new"))
    server.process.send_signal(signal.SIGHUP)
    soon(lambda: "read 2 API keys from " in server.log_text(), "a line of the log")
    equal((200, 200, 401), (status_of(server), status_of(server, key="new"), status_of(server, key="other")))
    server.keys.write_text("alice secret\n")
    server.process.send_signal(signal.SIGHUP)
    soon(lambda: "keys: line 1: " in server.log_text(), "an error in the log")
    contains("the API keys from before stay", server.log_text())
    equal((200, 200), (status_of(server), status_of(server, key="new")))


def serve_in_a_terminal(server, *before):
    """A server in a terminal of its own: (its process, the other end of the terminal)."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(server.folder)  # where nohup leaves a file
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may have been started with nohup
        os.execvpe((*before, server.puna)[0], [*before, server.puna, "serve"], server.env)
    soon(lambda: "listens on" in log_file(server), "a server in a terminal")
    return process, terminal


def log_file(server):
    path = server.folder / ".puna" / "logs" / "server.log"
    return path.read_text() if path.exists() else ""


def a_terminal_that_goes_takes_its_server_along(build):
    with Server(build) as server:
        server.stop()
        for before, line in (((), "the terminal is gone: no new requests"), (("nohup",), "no file of API keys to read again")):
            (server.folder / ".puna" / "logs" / "server.log").unlink()
            process, terminal = serve_in_a_terminal(server, *before)
            os.close(terminal)
            if before:
                os.kill(process, signal.SIGHUP)
            soon(lambda line=line: line in log_file(server), line)
            if before:
                equal((0, 0), os.waitpid(process, os.WNOHANG), "it goes on")
                os.kill(process, signal.SIGTERM)
            equal(0, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), "exit code")
            contains("stopped", log_file(server))


def wrong_settings_are_in_the_log(build):
    with Server(build, PUNA_REQUEST_TIMEOUT="abc", PUNA_MAX_REQUEST_MB="0") as server:
        for log in (log_file(server), server.log_text()):
            if not re.search(r'^\S+T\S+ warning PUNA_REQUEST_TIMEOUT: .*"abc".*; using the default$', log, re.M):
                raise AssertionError(log)
        equal(200, server.post("/api/generate", HELLO).status, "no limit on bodies")
        _, _, errors = server.run("--version", env={"PUNA_HOST": "127.0.0.1:99999"})
        contains('PUNA_HOST: invalid port "99999"; using the default', errors)
        _, _, errors = server.run("--version", env={"PUNA_HOST": "", "OLLAMA_HOST": "http://localhost:x/"})
        contains('OLLAMA_HOST: invalid port "x"; using the default', errors)


if __name__ == "__main__":
    main((server_with_keys, (lines_say_who_and_why, anthropic_errors_have_the_id_of_the_log, debug_tells_of_generations,
                             requests_are_counted_by_route_method_and_status, probes_need_no_key_with_a_slash_behind,
                             a_hangup_reads_the_keys_again)),
         (contextlib.nullcontext, (a_terminal_that_goes_takes_its_server_along, wrong_settings_are_in_the_log)))
