#!/usr/bin/env python3
"""Many users, bad clients and faults, against a real server with the bundled model."""
import contextlib
import datetime
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import tempfile
import threading
import time

from openai_e2e import embedder
from puna_server import ENDLESS, ROOT, Server, Skip, contains, equal, main, soon

LONG = {"num_predict": 400, "temperature": 1, "seed": 3}
# Goes on long after any test has looked, reader or not.
FOREVER = {"num_predict": 50000, "num_ctx": 512, "grammar": ENDLESS}


def running(server):
    return sum(model["requests_running"] + model["requests_waiting"]
               for model in server.request("GET", "/api/ps").json()["models"])


def generate(server, prompt, **options):
    return server.post("/api/generate", {"model": "mini", "prompt": prompt, "stream": False,
                                         "options": {"temperature": 0, "num_predict": 24, **options}})


def raw_request(body, length=None, path="/api/generate"):
    text = json.dumps(body).encode()
    head = (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(text) if length is None else length}\r\n\r\n")
    return head.encode() + text


def request_forever(prompt="Tell me a story"):
    return raw_request({"model": "mini", "prompt": prompt, "options": FOREVER})


def connect(server, data=b""):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(data)
    return connection


def read_all(connection):
    text = b""
    while piece := connection.recv(65536):
        text += piece
    return text


def health_and_metrics(server):
    equal((200, {"status": "ok"}), (server.request("GET", "/health").status, server.request("GET", "/health").json()))
    equal((200, {"status": "ready"}), (server.request("GET", "/ready").status, server.request("GET", "/ready").json()))
    generate(server, "Hello")
    before = server.metric("puna_generated_tokens_total")
    first = server.metric("puna_time_to_first_token_seconds_count")
    tokens = generate(server, "Hello there").json()["eval_count"]
    equal(before + tokens, server.metric("puna_generated_tokens_total"))
    equal(first + 1, server.metric("puna_time_to_first_token_seconds_count"))
    for name in ("puna_requests_total", "puna_time_between_tokens_seconds_count", "puna_step_rows_sum", "puna_loads_total",
                 "puna_model_pages_in_use", "puna_model_running_requests", "puna_prompt_tokens_cached_total",
                 "puna_prefix_evictions_total", "puna_load_seconds_count", "puna_model_bytes", "puna_models"):
        server.metric(name)
    reply = server.request("GET", "/metrics")
    contains("text/plain; version=0.0.4", reply.headers["content-type"])
    for line in reply.body.decode().splitlines():
        if not line.startswith("#"):
            float(line.rsplit(" ", 1)[1])


def request_ids(server):
    given = server.request("GET", "/api/version", headers={"X-Request-Id": "my-id.7"})
    equal("my-id.7", given.headers["x-request-id"])
    strange = server.request("GET", "/api/version", headers={"X-Request-Id": "a b\tc"})
    contains("req-", strange.headers["x-request-id"])
    contains("my-id.7 GET /api/version", server.log_text())
    for answer, head in ((b" 204 ", "OPTIONS /api/chat HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost"),
                         (b" 403 ", "GET /api/tags HTTP/1.1\r\nHost: evil.example"),
                         (b" 404 ", "GET /x%0aforged%1b%5b31m HTTP/1.1\r\nHost: localhost")):
        reply = read_all(connect(server, f"{head}\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n".encode()))
        contains(answer, reply[:13])
        contains(b"X-Request-Id: mine\r\n", reply)
    for line in ("mine OPTIONS /api/chat ", "mine GET /api/tags ", "mine GET /x\\nforged\\x1b[31m "):
        soon(lambda line=line: line in server.log_text(), f"a line of the log with {line}")


def paths_in_other_forms(server):
    equal(200, server.request("GET", "/api/tags/").status, "a slash behind the path")
    equal(200, server.request("POST", "/api/show/", {"model": "mini"}).status)
    equal(404, server.request("GET", "/api/tags//").status)
    for host, status in (("localhost", b" 200 "), ("evil.example", b" 403 ")):
        request = f"GET http://{host}:{server.port}/api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        contains(status, read_all(connect(server, request.encode()))[:13])


def ps_shows_state(server):
    generate(server, "Hello")
    model = server.request("GET", "/api/ps").json()["models"][0]
    equal("running", model["state"])
    if not 0 < model["cache_pages_in_use"] <= model["cache_pages"]:
        raise AssertionError(model)
    code, table, _ = server.run("ps")
    equal(0, code)
    contains("mini:latest", table)


def the_same_alone_and_among_strangers(server):
    prompt = "Where are models stored?"
    alone = generate(server, prompt, seed=11, temperature=0.9, num_predict=60).json()["response"]
    results = {}

    def ask(i):
        if i == 3:
            results[i] = generate(server, prompt, seed=11, temperature=0.9, num_predict=60).json()["response"]
        else:
            results[i] = generate(server, f"Stranger {i} asks: " + "why " * (40 * i), seed=i, temperature=1,
                                  num_predict=80).json()["response"]

    for _ in range(3):
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(alone, results[3])


def clients_that_leave(server):
    """At every stage: before the body is complete, before the first byte of the answer, in the middle of a token."""
    body = {"model": "mini", "prompt": "Tell me a story " * 60, "options": LONG}
    connect(server, raw_request(body, length=100000)).close()
    connect(server, raw_request(body)).close()
    reader = connect(server, raw_request(body))
    contains(b"200", reader.recv(30))
    reader.close()
    reset = connect(server, raw_request(body))
    reset.recv(300)
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    reset.close()
    half = [connect(server, b"POST /api/generate HTTP/1.1\r\nHost: loc"),  # stay half open
            connect(server, raw_request(body, length=100000))]
    equal(200, generate(server, "Hello").status)
    soon(lambda: running(server) == 0, "the end of abandoned requests")
    for connection in half:
        connection.close()


def clients_that_leave_while_they_wait(build):
    """While the model loads, in a queue, and while a prompt is computed: those who stay go on."""
    with Server(build, PUNA_NUM_PARALLEL="1") as server:
        connect(server, request_forever()).close()
        reader = connect(server, request_forever())
        contains(b"200", reader.recv(30))
        queue = [connect(server, request_forever()) for _ in range(3)]
        soon(lambda: running(server) == 4, "a queue of three")
        for connection in queue:
            connection.close()
        soon(lambda: running(server) == 1, "the end of the queue")
        long_prompt = connect(server, request_forever("Tell me a story. " * 20))
        reader.close()
        soon(lambda: running(server) == 1, "the turn of the next")
        long_prompt.close()
        soon(lambda: running(server) == 0, "the end of the last")
        equal(200, generate(server, "Hello").status)


def a_slow_reader_stalls_nobody(server):
    slow = connect(server)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(raw_request({"model": "mini", "prompt": "Tell me a story", "options": LONG}))
    never = connect(server, request_forever())  # is not read at all
    soon(lambda: running(server) >= 1, "the answer that nobody reads")
    for _ in range(5):  # not at all, if they waited for the slow readers
        equal(200, generate(server, "Hello").status)
    pieces = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "options": {
        "num_predict": 200, "grammar": ENDLESS}}).lines()
    equal((200, "length"), (pieces[-1]["eval_count"], pieces[-1]["done_reason"]))
    if running(server) < 1:
        raise AssertionError("the answer that nobody reads has ended")
    never.close()
    answer = b""
    while b'"done":true' not in answer:
        piece = slow.recv(256)
        if not piece:
            raise AssertionError("the slow reader's answer ends early")
        answer += piece
    slow.close()
    soon(lambda: running(server) == 0, "the end of the answer that nobody reads")


def ten_megabytes(server):
    reply = generate(server, "word " * 2_000_000)
    equal(400, reply.status)
    contains("do not fit the context of", reply.json()["error"])
    equal(200, generate(server, "Hello").status)


def absurd_options(server):
    for options in ({"num_ctx": 1}, {"num_ctx": 2**62}, {"num_predict": 2**62}, {"top_k": -(2**62)},
                    {"num_keep": 2**62, "num_ctx": 100}, {"temperature": 1e300}, {"num_predict": -2, "num_ctx": 70}):
        reply = generate(server, "Hello", **{"num_predict": 3, **options})
        if reply.status not in (200, 400):
            raise AssertionError(f"{options}: {reply.status} {reply.body[:200]}")
    equal(200, generate(server, "Hello").status)


def too_long_prompts_are_cut_only_where_the_client_set_the_limit(server):
    loads = server.metric("puna_loads_total")
    words = "river stone light paper green house " * 60
    cut = generate(server, words, num_ctx=100, num_predict=5)
    equal(200, cut.status)
    dropped = cut.json()["prompt_truncated_count"]
    equal(str(dropped), cut.headers["x-puna-prompt-truncated"])
    if not cut.json()["prompt_eval_count"] < 100 < dropped:
        raise AssertionError(cut.json())
    body = {"model": "mini", "prompt": words, "stream": False, "truncate": False, "options": {"num_ctx": 100}}
    refused = server.post("/api/generate", body)
    equal(400, refused.status)
    contains(f"{dropped + cut.json()['prompt_eval_count']} tokens", refused.json()["error"])
    contains("context of 100 tokens", refused.json()["error"])
    if "prompt_truncated_count" in generate(server, words, num_predict=5).json():
        raise AssertionError("a prompt that fits was cut")
    equal(loads, server.metric("puna_loads_total"))


def long_chat():
    messages = [{"role": "system", "content": "You are brief."}]
    for i in range(20):
        messages += [{"role": "user", "content": f"Question {i}: " + "why " * 10}, {"role": "assistant", "content": "Because."}]
    return [*messages, {"role": "user", "content": "And the last one?"}]


def contexts_of_a_few_tokens(server):
    for num_ctx in (1, 3, 4):
        cut = generate(server, "Tell me a story of the sea", num_ctx=num_ctx, num_predict=3)
        equal(200, cut.status)
        equal(str(cut.json()["prompt_truncated_count"]), cut.headers["x-puna-prompt-truncated"])
        equal(3, cut.json()["prompt_eval_count"])
        refused = server.post("/api/chat", {"model": "mini", "messages": long_chat(), "options": {"num_ctx": num_ctx}})
        equal(400, refused.status)
        contains("> 3 maximum", refused.json()["error"])
        equal(None, refused.headers.get("x-puna-prompt-truncated"))


def the_servers_context_is_a_chosen_one(build):
    words = "river stone light paper green house " * 60
    with Server(build, PUNA_CONTEXT_LENGTH="200") as server:
        cut = generate(server, words, num_predict=5)
        equal(200, cut.status)
        equal(str(cut.json()["prompt_truncated_count"]), cut.headers["x-puna-prompt-truncated"])
        if not cut.json()["prompt_eval_count"] < 200 < cut.json()["prompt_truncated_count"]:
            raise AssertionError(cut.json())
        chat = {"model": "mini", "messages": long_chat(), "max_tokens": 4, "options": {"num_predict": 4}}
        for path in ("/api/chat", "/v1/chat/completions", "/v1/messages"):
            for stream in (False, True):
                answer = server.post(path, {**chat, "stream": stream})
                equal(200, answer.status, path)
                if not int(answer.headers["x-puna-prompt-truncated"]) > 0:
                    raise AssertionError(answer.headers)
        talk = server.post("/api/chat", {"model": "mini", "messages": [{"role": "user", "content": "Tell me a story"}],
                                         "stream": False, "options": {"num_predict": 300, "grammar": ENDLESS}}).json()
        if talk["context_shifted_count"] < 1:
            raise AssertionError(talk)
        refused = server.post("/api/chat", {**chat, "truncate": False})
        equal(400, refused.status)
        contains("context of 200 tokens", refused.json()["error"])
        equal(200, generate(server, words, num_ctx=1000, num_predict=1).status)
    with Server(build, PUNA_CONTEXT_LENGTH="9000000") as server:  # more than the model was trained for
        equal(400, generate(server, "word " * 100_000).status)
        equal(400, generate(server, "word " * 100_000, num_ctx=9_000_000).status)


def chats_lose_their_oldest_messages(server):
    body = {"model": "mini", "messages": long_chat(), "stream": False, "options": {"num_ctx": 200, "num_predict": 4}}
    reply = server.post("/api/chat", body).json()
    if not (reply["prompt_truncated_count"] > 0 and reply["prompt_eval_count"] < 200):
        raise AssertionError(reply)
    shown = server.post("/api/chat", {**body, "_debug_render_only": True}).json()["_debug_info"]["rendered_template"]
    for part in ("You are brief.", "And the last one?", "Question 19"):
        contains(part, shown)
    if "Question 0:" in shown:
        raise AssertionError("the oldest question is still there")
    one = {**body, "messages": [{"role": "user", "content": "why " * 400}]}
    equal(400, server.post("/api/chat", one).status)
    openai = server.post("/v1/chat/completions", {"model": "mini", "messages": [{"role": "user", "content": "why " * 400_000}]})
    equal(400, openai.status)
    contains("do not fit the context of", openai.json()["error"]["message"])


def too_long_prompts_are_told_as_agents_know_them(server):
    long = "river stone light paper green house " * 60
    short_context = {"model": "mini", "options": {"num_ctx": 100}}
    chat = {"messages": [{"role": "user", "content": long}], "max_tokens": 5, **short_context}
    told = {}
    for path, body in (("/api/chat", chat), ("/v1/chat/completions", chat), ("/v1/messages", chat),
                       ("/v1/completions", {"model": "mini", "prompt": long * 100}),
                       ("/v1/responses", {"input": long, "stream": True, **short_context})):
        reply = server.post(path, body)
        equal(400, reply.status, path)
        told[path] = reply.json()["error"]
    for path, error in told.items():
        message = error if isinstance(error, str) else error["message"]
        length, most = re.match(r"prompt is too long: (\d+) tokens > (\d+) maximum; ", message).groups()
        if not int(length) > int(most):
            raise AssertionError(message)
        if path.startswith("/v1/"):
            equal("invalid_request_error", error["type"])
            equal(None if path == "/v1/messages" else "context_length_exceeded", error.get("code"))
    contains("prompt is too long", told["/api/chat"])
    contains("> 99 maximum", told["/v1/messages"]["message"])


def a_full_context_shifts_only_where_the_client_set_the_limit(server):
    def ask(seed, **more):
        return server.post("/api/generate", {
            "model": "mini", "prompt": "Tell me", "raw": True, "stream": False, **more,
            "options": {"num_ctx": 24, "num_predict": 60, "temperature": 1.5, "seed": seed}}).json()

    answers = [ask(seed) for seed in range(12)]
    beyond = [a for a in answers if a["prompt_eval_count"] + a["eval_count"] > 24]
    if not beyond:
        raise AssertionError(answers)
    for answer in beyond:
        if answer["context_shifted_count"] < 1:
            raise AssertionError(answer)
    talk = server.post("/api/chat", {"model": "mini", "messages": [{"role": "user", "content": "Tell me a story"}], "stream": False,
                                     "options": {"num_ctx": 64, "num_predict": 120, "grammar": ENDLESS}}).json()
    if talk["context_shifted_count"] < 1 or talk["done_reason"] != "length":
        raise AssertionError(talk)
    for seed in range(12):
        answer = ask(seed, shift=False)
        if answer["prompt_eval_count"] + answer["eval_count"] > 25 or "context_shifted_count" in answer:
            raise AssertionError(answer)


def a_full_queue_is_refused(build):
    with Server(build, PUNA_MAX_QUEUE="2", PUNA_NUM_PARALLEL="1") as server:
        generate(server, "Hello")
        body = {"model": "mini", "prompt": "Hello", "options": FOREVER}
        open_connections = [connect(server, raw_request(body))]
        open_connections[0].recv(10)
        for _ in range(5):
            open_connections.append(connect(server, raw_request(body)))
        # One runs and two wait; until they are seen, a request would wait with them.
        soon(lambda: server.metric("puna_model_waiting_requests") == 2, "a full queue")
        refused = generate(server, "Hello", num_predict=1)
        equal(503, refused.status)
        contains("maximum pending requests exceeded", refused.json()["error"])
        if int(refused.headers["retry-after"]) < 1:
            raise AssertionError(refused.headers)
        for connection in open_connections:
            connection.close()
        soon(lambda: running(server) == 0, "the end of abandoned requests")
        equal(200, generate(server, "Hello").status)


def choices_of_a_call_do_not_fill_the_queue(build):
    with Server(build, PUNA_MAX_QUEUE="1", PUNA_NUM_PARALLEL="2") as server:
        reply = server.post("/v1/completions", {"model": "mini", "prompt": ["Hello"] * 256, "n": 2, "max_tokens": 1})
        equal(200, reply.status, reply.body[:200])
        equal(list(range(512)), sorted(choice["index"] for choice in reply.json()["choices"]))


def a_model_that_nobody_waits_for_evicts_nobody(build):
    with Server(build, PUNA_MAX_QUEUE="2", PUNA_MAX_LOADED_MODELS="1") as server:
        embedder(server)
        reader = connect(server, request_forever())
        contains(b"200", reader.recv(30))

        def models():
            return {model["name"]: (model["state"], model["requests_waiting"])
                    for model in server.request("GET", "/api/ps").json()["models"]}
        queue = [connect(server, raw_request({"model": "embedder", "input": "Hello"}, path="/api/embed"))
                 for _ in range(2)]
        soon(lambda: models().get("embedder:latest") == ("loading", 2), "a full queue")
        equal(503, generate(server, "Hello").status)
        for connection in queue:
            connection.close()
        soon(lambda: models() == {"mini:latest": ("running", 0)}, "the end of the queue")
        equal(200, generate(server, "Hello", num_predict=2).status)
        reader.close()


def a_long_batch_of_embeddings(build):
    """It is many passes, and ends with its client."""
    texts = ["one two three four five six seven eight nine ten " * 20] * 4000
    with Server(build, PUNA_MAX_QUEUE="1") as server:
        embedder(server)
        equal(200, server.post("/api/embed", {"model": "embedder", "input": "Hello"}).status)
        batch = connect(server, raw_request({"model": "embedder", "input": texts}, path="/api/embed"))

        def model():
            return server.request("GET", "/api/ps").json()["models"][0]
        soon(lambda: (model()["requests_running"], model()["requests_waiting"]) == (1, 0), "a batch that runs")
        equal(200, server.post("/api/embed", {"model": "embedder", "input": "Hello"}).status)
        equal(1, model()["requests_running"], "the batch was meant to take longer")
        cancelled = server.metric("puna_requests_cancelled_total")
        batch.close()
        soon(lambda: running(server) == 0, "the end of the batch")
        equal(cancelled + 1, server.metric("puna_requests_cancelled_total"))


def names_that_are_given_anew(server):
    """A model whose name is given to another one leaves, and /api/ps tells of it until then."""
    def loaded():
        return {model["digest"] for model in server.request("GET", "/api/ps").json()["models"]
                if model["name"] == "embedder:latest" and model["details"]["family"] == "llama"}

    embedder(server)
    equal(200, server.post("/api/embed", {"model": "embedder", "input": "Hello"}).status)
    before = loaded()
    equal(1, len(before))
    server.post("/api/create", {"model": "embedder", "from": "mini"})
    soon(lambda: not loaded(), "the end of the model that lost its name")
    equal(200, server.post("/api/generate", {"model": "embedder", "prompt": "x", "options": {"num_predict": 1}}).status)
    equal(1, len(loaded()))
    equal(set(), loaded() & before)
    names = [line.split(" ")[0] for line in server.request("GET", "/metrics").body.decode().splitlines()]
    equal(sorted({name for name in names if "{" in name}), sorted(name for name in names if "{" in name))
    server.request("DELETE", "/api/delete", {"model": "embedder"})  # unloads what it deletes
    soon(lambda: not loaded(), "the end of the deleted model")


def a_request_has_its_time(build):
    with Server(build, PUNA_REQUEST_TIMEOUT="1ms") as server:
        for _ in range(2):  # while the model loads, and later
            reply = generate(server, "Tell me a story")
            equal(503, reply.status)
            contains("not done in its time", reply.json()["error"])
        for path, more in (("/api/generate", {"prompt": "why " * 400}), ("/v1/completions", {"prompt": "why " * 400}),
                           ("/v1/chat/completions", {"messages": long_chat()}), ("/v1/messages", {"messages": long_chat()})):
            reply = server.post(path, {"model": "mini", "stream": False, "max_tokens": 50000, "options": FOREVER | {"num_ctx": 200}, **more})
            equal(503, reply.status, path)
            equal(None, reply.headers.get("x-puna-prompt-truncated"), path)
        embedder(server)
        reply = server.post("/api/embed", {"model": "embedder", "input": ["Hello"] * 1000})
        equal(503, reply.status)
        contains("not done in its time", reply.json()["error"])
        equal(200, server.request("GET", "/health").status)


def a_draining_server_ends_its_answers(build):
    with Server(build) as server:
        answer = connect(server, raw_request({"model": "mini", "prompt": "Tell me a story", "options": {
            "num_predict": 300, "grammar": "root ::= [a-z]{60000}"}}))
        text = answer.recv(1000)
        server.process.send_signal(signal.SIGTERM)
        while piece := answer.recv(4096):
            text += piece
        contains(b'"done":true', text)
        equal(0, server.process.wait(60))


def a_draining_server_answers_who_watches_it(build):
    with Server(build, PUNA_DRAIN_TIMEOUT="1000h") as server:
        answer = connect(server, request_forever())
        answer.recv(1000)
        idle = connect(server)
        head = b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
        begun = connect(server, head[:9])
        equal("ready", server.request("GET", "/ready").json()["status"])  # by now the others are read, too
        server.process.send_signal(signal.SIGTERM)
        soon(lambda: server.request("GET", "/ready").status == 503, "draining")
        equal(b"", idle.recv(1), "an idle connection is closed")
        begun.sendall(head[9:])
        contains(b"shutting down", read_all(begun))
        equal({"status": "shutting down"}, server.request("GET", "/ready").json())
        equal({"status": "ok"}, server.request("GET", "/health").json())
        equal(1, server.metric("puna_model_running_requests"))
        for refused in (server.request("GET", "/"), server.request("GET", "/api/tags"), generate(server, "Hello")):
            equal((503, "close"), (refused.status, refused.headers["connection"]))
            contains("shutting down", refused.json()["error"])
            if int(refused.headers["retry-after"]) < 1:
                raise AssertionError(refused.headers)
        contains(b'"done":false', answer.recv(1000))
        answer.close()
        equal(0, server.process.wait(60))
        with contextlib.closing(socket.create_server(("127.0.0.1", server.port))):
            pass  # the port is free


def a_draining_server_cuts_off_what_takes_too_long(build):
    """Every kind of answer ends with an error of its own form."""
    chat = {"model": "endless", "messages": [{"role": "user", "content": "Tell me a story"}], "max_tokens": 50000}
    asked = [
        ("/api/generate", {"model": "endless", "prompt": "Tell me a story"}, b'{"error":"the server is shutting down"}\n'),
        ("/api/chat", chat, b'{"error":"the server is shutting down"}\n'),
        ("/v1/chat/completions", {**chat, "stream": True}, b'data: {"error":{"message":"the server is shutting down"'),
        ("/v1/responses", {"model": "endless", "input": "Tell me a story", "stream": True}, b"event: response.failed\n"),
        ("/v1/messages", {**chat, "stream": True}, b"event: error\n")]
    with Server(build, PUNA_DRAIN_TIMEOUT="1ms") as server:
        server.post("/api/create", {"model": "endless", "from": "mini", "parameters": {
            "grammar": ENDLESS, "num_predict": 50000, "num_ctx": 512}})
        answers = [connect(server, raw_request(body, path=path)) for path, body, _ in asked]
        whole = connect(server, raw_request({"model": "endless", "prompt": "Hello", "stream": False}))
        texts = [answer.recv(1000) for answer in answers]
        soon(lambda: running(server) == 6, "all of them")
        server.process.send_signal(signal.SIGTERM)
        for answer, text, (path, _, last) in zip(answers, texts, asked):
            text += read_all(answer)
            contains(b"200 OK", text)
            contains(last, text)
            contains(b"the server is shutting down", text)
            if not text.endswith(b"\r\n0\r\n\r\n"):
                raise AssertionError(f"{path} did not end: {text[-500:]}")
        refused = read_all(whole)
        contains(b"503 Service Unavailable", refused)
        contains(b"the server is shutting down", refused)
        equal(0, server.process.wait(120))
        contains("stopped", server.log_text())


def a_second_signal_ends_at_once(build):
    with Server(build, PUNA_DRAIN_TIMEOUT="1000h") as server:
        answer = connect(server, request_forever())
        answer.recv(1000)
        server.process.send_signal(signal.SIGTERM)
        soon(lambda: "no new requests" in server.log_text(), "draining")
        soon(lambda: server.request("GET", "/ready").status == 503, "no new requests")
        server.process.send_signal(signal.SIGTERM)
        equal(-signal.SIGTERM, server.process.wait(120))


def a_stuck_pass_shows_in_health(build):
    """For a limit that every pass exceeds."""
    with Server(build, PUNA_STUCK_AFTER="1ns") as server:
        def refused(path):
            reply = server.request("GET", path)
            return reply if reply.status == 503 else None

        equal(200, server.request("GET", "/health").status)
        answer = connect(server, request_forever())
        health = soon(lambda: refused("/health"), "a stuck pass").json()
        equal(("stuck", 1), (health["status"], len(health["stuck"])))
        contains("mini", health["stuck"][0])
        ready = soon(lambda: refused("/ready"), "a stuck pass").json()
        equal(("stuck", health["stuck"]), (ready["status"], ready["stuck"]))
        answer.close()
        soon(lambda: not refused("/health"), "the end of the passes")
        soon(lambda: not refused("/ready"), "the end of the passes")


def names_of_the_same_weights_have_their_own_keep_alive(server):
    for name, parameter in (("stays", "PARAMETER keep_alive 2h\n"), ("goes", "")):
        modelfile = server.folder / name
        modelfile.write_text(f"FROM mini\n{parameter}")
        equal(0, server.run("create", name, "-f", str(modelfile))[0])

    def minutes_left(name, **more):
        equal(200, server.post("/api/generate", {"model": name, "prompt": "Hi", "stream": False, "options": {"num_predict": 2},
                                                 **more}).status)
        [model] = [one for one in server.request("GET", "/api/ps").json()["models"] if one["name"] == f"{name}:latest"]
        expires = datetime.datetime.fromisoformat(model["expires_at"][:19] + "+00:00")
        return round((expires - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 60)
    equal([120, 5, 120], [minutes_left(name) for name in ("stays", "goes", "stays")])
    equal(30, minutes_left("goes", keep_alive="30m"))
    equal(30, minutes_left("stays"), "that of a request sticks")
    server.post("/api/generate", {"model": "stays", "keep_alive": 0})


def killed_while_it_loads(build):
    with Server(build) as server:
        connect(server, raw_request({"model": "mini", "prompt": "Hello", "options": LONG}))
        server.process.kill()
        server.process.wait()
    with Server(build) as again:
        equal(200, generate(again, "Hello").status)


@contextlib.contextmanager
def keeping_prompts(build):
    """A server that keeps prompts in a folder, and the bundled model as one of the store: only what has a digest is kept."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "prompts"
        with Server(build, PUNA_PREFIX_CACHE_DIR=str(folder)) as server:
            modelfile = server.folder / "Modelfile"
            modelfile.write_text(f"FROM {ROOT}/models/mini.gguf\n")
            code, _, errors = server.run("create", "kept", "-f", str(modelfile))
            if code != 0:
                raise AssertionError(errors)
            yield server, folder


def system_prompt(server, question):
    """Answers a question behind a system prompt of a few hundred tokens."""
    rules = "".join(f"Rule {i}: the answer to question {i} is number {i * 37 % 101}. " for i in range(25))
    reply = server.post("/api/chat", {"model": "kept", "stream": False, "messages": [
        {"role": "system", "content": rules}, {"role": "user", "content": question}],
        "options": {"num_predict": 40, "temperature": 0, "num_ctx": 4096}})
    equal(200, reply.status)
    return reply.json()["message"]["content"]


def pages_in(folder):
    return list(folder.glob("*.page"))


def prompts_on_disk_survive_restarts(build):
    with keeping_prompts(build) as (server, folder):
        expected = system_prompt(server, "Where are models stored?")
        equal(0, len(pages_in(folder)))
        system_prompt(server, "What is a Modelfile?")  # the second that begins so
        soon(lambda: len(pages_in(folder)) >= 2, "keeping the pages")
        # Killed while it writes: whatever is there is whole, or refused.
        server.process.kill()
        server.process.wait()
        server.restart()
        equal(expected, system_prompt(server, "Where are models stored?"))
        if server.metric("puna_prefix_files_read_total") < 2:
            raise AssertionError("the pages were not used")
        server.stop()
        for page in pages_in(folder):
            page.write_bytes(b"PUNAPAGE" + page.read_bytes()[8:-1] + b"x")
        server.restart()
        equal(expected, system_prompt(server, "Where are models stored?"))


def killed_while_it_writes_prompts(build):
    with keeping_prompts(build) as (server, _):
        expected = system_prompt(server, "Where are models stored?")
        for kill_after in (0, 0.002, 0.01):
            system_prompt(server, "What is a Modelfile?")
            system_prompt(server, "What is a blob?")
            time.sleep(kill_after)
            server.process.kill()
            server.process.wait()
            server.restart()
            equal(expected, system_prompt(server, "Where are models stored?"))


def a_full_disk_stops_nobody(build):
    """As a limit for the size of files, which holds for the pages of prompts."""
    with keeping_prompts(build) as (server, folder):
        expected = system_prompt(server, "Where are models stored?")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        system_prompt(server, "What is a Modelfile?")
        system_prompt(server, "What is a blob?")
        equal(expected, system_prompt(server, "Where are models stored?"))
        equal(0, len(pages_in(folder)))
        equal(200, server.request("GET", "/health").status)


def no_memory_for_a_model(build):
    """The address space is limited below what the model takes: an error, and the server goes on."""
    with Server(build) as server:
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        used = int(status.split("VmSize:")[1].split()[0]) * 1024
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (used + (48 << 20), resource.RLIM_INFINITY))
        reply = generate(server, "Hello", num_predict=2)
        if reply.status < 500 or "error" not in reply.json():
            raise AssertionError((reply.status, reply.body[:200]))
        equal(200, server.request("GET", "/health").status)
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        equal(200, generate(server, "Hello", num_predict=2).status)


def a_limited_address_space_has_a_smaller_pool(build):
    """`ulimit -v`, with room for the model but not for the pool that it would have."""
    if "PUNA_SANITIZE:STRING=\n" not in (pathlib.Path(build) / "CMakeCache.txt").read_text():
        raise Skip("sanitizers reserve address space of their own")
    with Server(build) as server:
        draft, modelfile = server.folder / "draft.gguf", server.folder / "Modelfile"
        equal(0, server.run("synth", draft, "--shape", "qwen3-0.6b", "--type", "Q4_K_M")[0])
        modelfile.write_text(f"FROM {draft}\n")
        equal(0, server.run("create", "large", "-f", str(modelfile))[0])

        def limit(megabytes):
            status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
            used = int(status.split("VmSize:")[1].split()[0]) * 1024
            resource.prlimit(server.process.pid, resource.RLIMIT_AS, (used + (megabytes << 20), resource.RLIM_INFINITY))

        def ask():
            return server.post("/api/generate", {"model": "large", "prompt": "Hi", "stream": False, "options": {"num_predict": 2}})
        limit(3000)
        equal(200, ask().status)
        model = next(m for m in server.request("GET", "/api/ps").json()["models"] if m["name"] == "large:latest")
        if not 0 < model["cache_pages"] < 2000:
            raise AssertionError(model["cache_pages"])
        server.post("/api/generate", {"model": "large", "keep_alive": 0})
        soon(lambda: not server.request("GET", "/api/ps").json()["models"], "unloading")
        limit(300)
        reply = ask()
        equal(500, reply.status)
        if not re.fullmatch(r"large:latest needs \d+ bytes \(.*\), \d+ bytes \(.*\) are available", reply.json()["error"]):
            raise AssertionError(reply.body)
        equal(200, server.request("GET", "/health").status)


def no_memory_for_a_request(build):
    """As above, for a body that is larger than what may still be taken."""
    if "PUNA_SANITIZE:STRING=\n" not in (pathlib.Path(build) / "CMakeCache.txt").read_text():
        raise Skip("a sanitizer that gets no memory for itself ends or hangs")
    with Server(build) as server:
        equal(200, generate(server, "Hello", num_predict=2).status)
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        used = int(status.split("VmSize:")[1].split()[0]) * 1024
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (used + (48 << 20), resource.RLIM_INFINITY))
        reply = generate(server, "word " * (14 << 20), num_predict=2)
        equal(500, reply.status)
        equal("there is not enough memory for this request", reply.json()["error"])
        equal(200, generate(server, "Hello", num_predict=2).status)


def a_model_file_that_is_cut_short_fails_alone(build):
    """While its weights are read in the first passes, between them, and while nobody asks; beside an answer of mini."""
    with Server(build) as server:
        draft, modelfile = server.folder / "draft.gguf", server.folder / "Modelfile"
        settings = {"prompt": "Tell me a story", "options": {"temperature": 0, "num_predict": 200}}
        expected = server.post("/api/generate", {"model": "mini", "stream": False, **settings}).json()["response"]
        equal(0, server.run("synth", draft, "--shape", "qwen3-0.6b", "--type", "Q4_K_M")[0])
        copy = server.folder / "copy.gguf"  # the store may hold a link to it
        modelfile.write_text(f"FROM {copy}\n")
        blobs = server.folder / "models" / "blobs"
        for moment in ("idle", "answering", "asked"):
            shutil.copyfile(draft, copy)
            equal(0, server.run("create", "large", "-f", str(modelfile))[0])
            blob = max(blobs.iterdir(), key=lambda file: file.stat().st_size)
            answers = []
            beside = threading.Thread(target=lambda: answers.append(
                server.post("/api/generate", {"model": "mini", "stream": False, **settings}).json()["response"]))
            beside.start()
            body = {"model": "large", "prompt": "Hello", "options": {"num_predict": 1 if moment == "idle" else 200}}
            if moment == "idle":
                equal(200, server.post("/api/generate", {**body, "stream": False}).status)
                os.truncate(blob, 100_000_000)
            else:
                connection = connect(server, raw_request(body))
                if moment == "answering":
                    connection.recv(65536)
                os.truncate(blob, 100_000_000)
                text = piece = b" "
                while piece and b"error" not in text:
                    text += (piece := connection.recv(65536))
                contains("can no longer be read" if moment == "answering" else "error", text.decode())
            soon(lambda: "large" not in [model["name"].split(":")[0] for model in
                                         server.request("GET", "/api/ps").json()["models"]], f"unloading, {moment}")
            reply = server.post("/api/generate", {**body, "stream": False})
            equal(500, reply.status)
            contains("error", reply.json())
            beside.join()
            equal([expected], answers)
            blob.unlink()


if __name__ == "__main__":
    main((Server, (health_and_metrics, request_ids, paths_in_other_forms, ps_shows_state, the_same_alone_and_among_strangers,
                   clients_that_leave, a_slow_reader_stalls_nobody, ten_megabytes, absurd_options, contexts_of_a_few_tokens,
                   too_long_prompts_are_cut_only_where_the_client_set_the_limit, chats_lose_their_oldest_messages,
                   too_long_prompts_are_told_as_agents_know_them,
                   a_full_context_shifts_only_where_the_client_set_the_limit, names_that_are_given_anew,
                   names_of_the_same_weights_have_their_own_keep_alive)),
         (contextlib.nullcontext, (a_full_queue_is_refused, choices_of_a_call_do_not_fill_the_queue,
                                   a_model_that_nobody_waits_for_evicts_nobody, a_long_batch_of_embeddings,
                                   a_request_has_its_time, the_servers_context_is_a_chosen_one,
                                   clients_that_leave_while_they_wait,
                                   a_draining_server_ends_its_answers, a_draining_server_answers_who_watches_it,
                                   a_draining_server_cuts_off_what_takes_too_long,
                                   a_second_signal_ends_at_once, a_stuck_pass_shows_in_health,
                                   killed_while_it_loads, prompts_on_disk_survive_restarts,
                                   killed_while_it_writes_prompts, a_full_disk_stops_nobody,
                                   no_memory_for_a_model, no_memory_for_a_request,
                                   a_limited_address_space_has_a_smaller_pool,
                                   a_model_file_that_is_cut_short_fails_alone)))
