#!/usr/bin/env python3
"""Who may call: API keys, TLS, and the limit of a request's size."""
import contextlib
import hashlib
import json
import pathlib
import socket
import subprocess
import tempfile

from puna_server import ENDLESS, Server, contains, equal, main, soon

HELLO = {"model": "mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2, "options": {"num_predict": 2}}


def keys_are_asked_for(server):
    equal(200, server.request("GET", "/").status, "the greeting needs no key")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"x-api-key": "wrong"}, {"Authorization": "Basic secret"}):
        for path, error in (("/api/chat", "unauthorized"), ("/v1/chat/completions", "authentication_error"),
                            ("/v1/messages", "authentication_error")):
            reply = server.post(path, HELLO, headers=headers)
            equal(401, reply.status)
            contains(error, str(reply.json()))
    equal("error", server.post("/v1/messages", HELLO).json()["type"])
    equal(401, server.request("GET", "/api/tags").status)
    for headers in ({"Authorization": "Bearer secret"}, {"x-api-key": "secret"}):
        for path in ("/api/chat", "/v1/chat/completions", "/v1/messages"):
            equal(200, server.post(path, HELLO, headers=headers).status, path)
    preflight = server.request("OPTIONS", "/api/chat", headers={"Origin": "http://localhost:3000",
                                                                "Access-Control-Request-Method": "POST"})
    equal(204, preflight.status, "browsers show no key before they may")
    for name in ("anthropic-dangerous-direct-browser-access", "x-stainless-helper", "x-api-key"):
        contains("," + name + ",", preflight.headers["access-control-allow-headers"])


def limits_are_kept(server):
    headers = {"Authorization": "Bearer slow"}
    statuses = [server.request("GET", "/api/version", headers=headers).status for _ in range(4)]
    equal([200, 200, 200, 429], statuses)
    reply = server.post("/v1/messages", HELLO, headers=headers)
    equal((429, "rate_limit_error"), (reply.status, reply.json()["error"]["type"]))
    if not 15 <= int(reply.headers["retry-after"]) <= 20:  # one in 20 seconds
        raise AssertionError(reply.headers)
    equal(200, server.request("GET", "/api/version", headers={"Authorization": "Bearer secret"}).status)


def commands_show_their_key(server):
    code, _, errors = server.run("list")
    equal(1, code)
    contains("API key", errors)
    server.env["PUNA_API_KEY"] = "secret"
    code, output, errors = server.run("list")
    equal(0, code, errors)
    contains("mini", output)


def large_bodies_are_refused(server):
    body = '{"model": "mini", "prompt": "' + "x" * (2 << 20) + '"}'
    headers = {"Authorization": "Bearer secret"}
    for path in ("/api/generate", "/v1/completions", "/v1/messages"):
        reply = server.post(path, body, headers=headers)
        equal(413, reply.status, path)
        contains("1048576 bytes", str(reply.json()["error"]))
    equal("request_too_large", server.post("/v1/messages", body, headers=headers).json()["error"]["type"])
    # 2 MiB of one byte, in blocks that repeat it.
    packed = b"\x28\xb5\x2f\xfd\x00\x58" + ((0x20000 << 3 | 2).to_bytes(3, "little") + b"a") * 16
    reply = server.post("/v1/completions", packed, headers={**headers, "Content-Encoding": "zstd"})
    equal(413, reply.status, "unpacked")
    contains("1048576 bytes", str(reply.json()["error"]))
    # Blobs are models: they have no limit.
    data = b"x" * (2 << 20)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    equal(201, server.request("POST", f"/api/blobs/{digest}", data, headers=headers).status)


@contextlib.contextmanager
def temporary_folder():
    with tempfile.TemporaryDirectory(prefix="puna-access-") as folder:
        yield pathlib.Path(folder)


def a_bad_file_stops_the_start(build):
    with temporary_folder() as folder:
        bad = folder / "bad_keys"
        bad.write_text("alice plain-text-key\n")
        try:
            with Server(build, PUNA_API_KEYS=str(bad)):
                raise AssertionError("the server started without its keys")
        except RuntimeError as error:
            contains("bad_keys: line 1", str(error))


@contextlib.contextmanager
def tls_server(build):
    with temporary_folder() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")], check=True, capture_output=True)
        with Server(build, tls_folder=folder) as server:
            server.certificates = folder
            yield server


def speaks_tls(server):
    equal("Ollama is running", server.request("GET", "/").body.decode())
    reply = server.post("/api/chat", dict(HELLO, options={"temperature": 0, "num_predict": 8}))
    equal(True, reply.lines()[-1]["done"])
    equal(200, server.post("/v1/chat/completions", dict(HELLO, stream=True)).status)
    plain = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                            f"http://127.0.0.1:{server.port}/"], capture_output=True, check=False)
    equal(b"000", plain.stdout, "plain HTTP on a TLS port")
    old = subprocess.run(["curl", "-sk", "--tls-max", "1.1", f"https://127.0.0.1:{server.port}/"],
                         capture_output=True, check=False)
    if old.returncode == 0:
        raise AssertionError("TLS 1.1 was accepted")
    equal(0, server.stop(), "exit code")


def commands_trust_whom_they_are_told_to(server):
    def listed(**variables):
        return server.run("list", env={"PUNA_HOST": f"https://127.0.0.1:{server.port}", **variables})

    certificate = server.certificates / "cert.pem"
    code, _, errors = listed()
    equal(1, code, "a certificate that nobody vouches for")
    contains("certificate", errors)
    code, output, errors = listed(SSL_CERT_FILE=str(certificate))
    equal(0, code, errors)
    contains("mini", output)
    authorities = server.certificates / "authorities"
    authorities.mkdir()
    (authorities / "own.pem").write_bytes(certificate.read_bytes())
    subprocess.run(["openssl", "rehash", str(authorities)], check=True, capture_output=True)
    for folders in (str(authorities), f"{server.certificates}:{authorities}"):
        code, output, errors = listed(SSL_CERT_DIR=folders)
        equal(0, code, errors)
        contains("mini", output)
    code, _, errors = listed(SSL_CERT_FILE=str(server.certificates / "nothing.pem"))
    equal(1, code)
    contains("nothing.pem", errors)


def running(server):
    return sum(model["requests_running"] for model in server.request("GET", "/api/ps").json()["models"])


def hang_ups_are_noticed_through_tls(server):
    """With a goodbye and without, while a whole answer is computed: not to its end."""
    before = server.metric("puna_generated_tokens_total")
    body = json.dumps({"model": "mini", "prompt": "Tell me a story", "stream": False,
                       "options": {"num_predict": 50000, "num_ctx": 512, "grammar": ENDLESS}})
    for goodbye in (True, False):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
            secure = server.tls.wrap_socket(plain)
            secure.sendall(f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            soon(lambda: running(server) == 1, "the beginning of a request")
            if goodbye:
                secure.settimeout(0.2)
                with contextlib.suppress(OSError):  # nobody answers it yet
                    secure.unwrap()
            secure.close()
        soon(lambda: running(server) == 0, "the end of an abandoned request")
    tokens = server.metric("puna_generated_tokens_total") - before
    if tokens >= 50000:
        raise AssertionError(f"{tokens} tokens were generated for nobody")


@contextlib.contextmanager
def server_with_keys(build):
    with temporary_folder() as folder:
        keys = folder / "keys"
        keys.write_text("# who may\n" + "".join(
            f"{name} {hashlib.sha256(key.encode()).hexdigest()} {limits}\n"
            for name, key, limits in (("alice", "secret", ""), ("slow", "slow", "requests_per_minute=3 concurrent=2"))))
        with Server(build, PUNA_API_KEYS=str(keys), PUNA_MAX_REQUEST_MB="1") as server:
            yield server


if __name__ == "__main__":
    main((server_with_keys, (keys_are_asked_for, limits_are_kept, large_bodies_are_refused, commands_show_their_key)),
         (contextlib.nullcontext, (a_bad_file_stops_the_start,)), (tls_server, (hang_ups_are_noticed_through_tls, commands_trust_whom_they_are_told_to, speaks_tls)))
