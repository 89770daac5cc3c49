#!/usr/bin/env python3
"""The HTTP API as its clients use it, against a real server with the bundled model."""
import array
import base64
import datetime
import hashlib
import json
import math
import re
import socket
import threading
import time
import uuid

from puna_server import ENDLESS, ROOT, TOOL_TEMPLATE, Server, Skip, contains, equal, main, shared_path, soon

GREEDY = {"temperature": 0, "num_predict": 24}


def root_and_version(server):
    equal("Ollama is running", server.request("GET", "/").body.decode())
    reply = server.request("HEAD", "/")
    equal((200, b""), (reply.status, reply.body))
    contains("version", server.request("GET", "/api/version").json())
    equal(404, server.request("GET", "/nothing/here").status)
    equal(b"404 page not found", server.request("GET", "/nothing/here").body)
    equal(405, server.request("PUT", "/api/chat").status)


def tags_and_show(server):
    models = server.request("GET", "/api/tags").json()["models"]
    equal(models, server.request("GET", "/api/list").json()["models"])
    mini = next(model for model in models if model["name"] == "mini:latest")
    for key in ("name", "model", "modified_at", "size", "digest", "details"):
        contains(key, mini)
    equal(64, len(mini["digest"]))
    equal("gguf", mini["details"]["format"])
    shown = server.post("/api/show", {"model": "mini"}).json()
    for key in ("modelfile", "template", "details", "model_info", "capabilities", "modified_at", "tensors"):
        contains(key, shown)
    contains("completion", shown["capabilities"])
    equal("llama", shown["model_info"]["general.architecture"])
    equal([], shown["model_info"]["tokenizer.ggml.tokens"])
    verbose = server.post("/api/show", {"name": "mini", "verbose": True}).json()
    if not verbose["model_info"]["tokenizer.ggml.tokens"]:
        raise AssertionError("verbose does not show the vocabulary")
    reply = server.post("/api/show", {"model": "missing"})
    equal((404, {"error": "model 'missing:latest' not found"}), (reply.status, reply.json()))
    equal({"error": "model is required"}, server.post("/api/show", {}).json())
    shown = server.post("/api/show", {"model": "mini", "system": "Be kind."}).json()
    equal("Be kind.", shown["system"])
    contains("\nFROM mini:latest\n", shown["modelfile"])
    contains("\nSYSTEM Be kind.\n", shown["modelfile"])
    copilot = server.post("/api/show", {"model": "mini"}, headers={"User-Agent": "GitHubCopilotChat/0.30"}).json()
    equal("mini", copilot["model_info"]["general.basename"])


def generate_stream(server):
    reply = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "options": GREEDY})
    equal((200, "application/x-ndjson"), (reply.status, reply.headers["content-type"]))
    lines = reply.lines()
    equal([False] * (len(lines) - 1) + [True], [line["done"] for line in lines])
    final = lines[-1]
    for key in ("done_reason", "total_duration", "prompt_eval_count", "eval_count", "eval_duration", "context"):
        contains(key, final)
    text = "".join(line["response"] for line in lines)
    whole = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "stream": False, "options": GREEDY})
    equal("application/json; charset=utf-8", whole.headers["content-type"])
    equal(text, whole.json()["response"])
    equal(final["context"], whole.json()["context"])
    if not text.strip():
        raise AssertionError("no text")


def generate_options(server):
    def ask(**more):
        options = dict({"num_predict": 30, "seed": 7, "temperature": 1.5}, **more.pop("options", {}))
        return server.post("/api/generate", dict({"model": "mini", "prompt": "Tell me a story", "stream": False,
                                                  "options": options}, **more)).json()
    equal(ask()["response"], ask()["response"], "the same seed")
    limited = ask(options={"num_predict": 3})
    equal(("length", 3), (limited["done_reason"], limited["eval_count"]))
    full = ask(options={"temperature": 0})["response"]
    stop = full[5:9]
    equal(full[:full.index(stop)], ask(options={"temperature": 0, "stop": [stop]})["response"], "stop string")
    raw = ask(raw=True, options={"temperature": 0})
    if "context" in raw:
        raise AssertionError("raw answers have no context")
    logprobs = ask(logprobs=True, top_logprobs=2, options={"num_predict": 4})["logprobs"]
    equal(4, len(logprobs))
    for entry in logprobs:
        if entry["logprob"] > 0:
            raise AssertionError("a logprob above 0")
        equal(2, len(entry["top_logprobs"]))
        equal(list(entry["token"].encode()), entry["bytes"])
    rendered = ask(_debug_render_only=True, system="SYS")
    contains("SYS", rendered["_debug_info"]["rendered_template"])


def generate_errors(server):
    def error(body, status):
        reply = server.request("POST", "/api/generate", body if isinstance(body, (str, bytes)) else json.dumps(body))
        equal(status, reply.status, reply.body)
        return reply.json()["error"]
    equal("missing request body", error("", 400))
    contains("invalid character", error("{bad", 400))
    equal("model 'nope' not found", error({"model": "nope", "prompt": "x"}, 404))
    equal("invalid model name", error({"model": "../../etc", "prompt": "x"}, 400))
    contains("GenerateRequest.prompt of type string", error({"model": "mini", "prompt": 5}, 400))
    contains("option \"temperature\"", error({"model": "mini", "prompt": "x", "options": {"temperature": "hot"}}, 400))
    equal("\"mini\" does not support thinking", error({"model": "mini", "prompt": "x", "think": True}, 400))
    contains("top_logprobs must be between 0 and 20", error({"model": "mini", "prompt": "x", "top_logprobs": 21}, 400))
    equal("raw mode does not support template, system, or context",
          error({"model": "mini", "prompt": "x", "raw": True, "system": "y"}, 400))
    contains("context", error({"model": "mini", "prompt": "word " * 5000}, 400))
    equal("invalid format: \"\\\"xml\\\"\"; expected \"json\" or a valid JSON Schema object",
          error({"model": "mini", "prompt": "x", "format": "xml"}, 400))
    contains("\"uniqueItems\" of items that are not from a list", error({"model": "mini", "prompt": "x", "format": {
        "type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}}, 400))
    contains("contradicts itself", error({"model": "mini", "prompt": "x", "format": {"type": "integer", "enum": ["a"]}}, 400))
    contains("grammar, line 1", error({"model": "mini", "prompt": "x", "options": {"grammar": "root ::= ("}}, 400))
    contains("max depth", error('{"model":' + "[" * 100000, 400))


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "score": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "born": {"type": "string", "format": "date"},
        "color": {"enum": ["red", "green", None]},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]{2,4}$"}, "minItems": 1, "maxItems": 3},
        "parent": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/id"}]},
    },
    "required": ["name", "age", "score", "born", "tags", "parent"],
    "$defs": {"id": {"type": "string", "format": "uuid"}},
}


def check_person(text):
    person = json.loads(text)
    names = [name for name in PERSON["properties"] if name in person]
    equal(names, list(person), "the properties in the schema's order")
    for name in PERSON["required"]:
        contains(name, person)
    checks = [1 <= len(person["name"]) <= 12, type(person["age"]) is int and 18 <= person["age"] <= 99,
              0 < person["score"] <= 1, datetime.date.fromisoformat(person["born"]) is not None,
              person.get("color") in ("red", "green", None), 1 <= len(person["tags"]) <= 3,
              all(re.fullmatch("[a-z]{2,4}", tag) for tag in person["tags"]),
              person["parent"] is None or uuid.UUID(person["parent"]) is not None]
    equal([True] * len(checks), checks, text)


def structured_output(server):
    for seed in range(12):
        options = {"seed": seed, "temperature": 1.5, "num_predict": 500}
        reply = server.post("/api/chat", {"model": "mini", "messages": [{"role": "user", "content": "Who are you?"}],
                                          "format": PERSON, "stream": False, "options": options}).json()
        equal("stop", reply["done_reason"], str(reply))
        check_person(reply["message"]["content"])
    lines = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "format": PERSON,
                                          "options": GREEDY | {"num_predict": 500}}).lines()
    check_person("".join(line["response"] for line in lines))
    with_logprobs = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "format": PERSON, "stream": False,
                                                  "logprobs": True, "options": GREEDY | {"num_predict": 500}}).json()
    check_person(with_logprobs["response"])
    equal(with_logprobs["eval_count"], len(with_logprobs["logprobs"]))
    for format in ("", None):
        plain = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "format": format, "stream": False,
                                              "options": GREEDY}).json()["response"]
        equal(False, plain.startswith("{"))
    any_object = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "format": "json", "stream": False,
                                               "options": {"seed": 3, "num_predict": 1500}}).json()
    if any_object["done_reason"] == "stop":
        equal(dict, type(json.loads(any_object["response"])))
    else:
        equal("{", any_object["response"][0])
    by_grammar = server.post("/api/generate", {"model": "mini", "prompt": "Yes or no?", "stream": False, "options": {
        "grammar": "root ::= (\"yes\" | \"no\") \"!\"{2,4}"}}).json()["response"]
    equal(True, re.fullmatch("(yes|no)!{2,4}", by_grammar) is not None, by_grammar)


def structured_output_for_openai(server):
    def ask(response_format, status=200):
        reply = server.post("/v1/chat/completions", {
            "model": "mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 500, "seed": 5,
            "response_format": response_format})
        equal(status, reply.status, reply.body)
        return reply.json()
    answer = ask({"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}})
    equal("stop", answer["choices"][0]["finish_reason"])
    check_person(answer["choices"][0]["message"]["content"])
    content = ask({"type": "json_object"})["choices"][0]["message"]["content"]
    equal("{", content[0])
    contains("response_format.type", ask({"type": "yaml"}, 400)["error"]["message"])
    contains("response_format.json_schema", ask({"type": "json_schema"}, 400)["error"]["message"])
    contains("\"uniqueItems\"", ask({"type": "json_schema", "json_schema": {
        "schema": {"uniqueItems": True}}}, 400)["error"]["message"])


def loaded_models(server):
    return server.request("GET", "/api/ps").json()["models"]


def load_and_unload(server):
    loaded = server.post("/api/generate", {"model": "mini"}).json()
    equal(("", True, "load"), (loaded["response"], loaded["done"], loaded["done_reason"]))
    models = loaded_models(server)
    equal(["mini:latest"], [model["name"] for model in models])
    for key in ("model", "size", "digest", "details", "expires_at", "size_vram", "context_length"):
        contains(key, models[0])
    unloaded = server.post("/api/chat", {"model": "mini", "messages": [], "keep_alive": 0}).json()
    equal("unload", unloaded["done_reason"])
    soon(lambda: not loaded_models(server), "unloading")
    begin = time.monotonic()
    server.post("/api/generate", {"model": "mini", "prompt": "hi", "stream": False, "keep_alive": "1s", "options": GREEDY})
    soon(lambda: not loaded_models(server), "the end of keep_alive")
    if time.monotonic() - begin < 1:
        raise AssertionError("the model left before its keep_alive")
    equal(400, server.post("/api/generate", {"model": "mini", "prompt": "hi", "keep_alive": "soon"}).status)


def chat(server):
    messages = [{"role": "user", "content": "Hello"}]
    lines = server.post("/api/chat", {"model": "mini", "messages": messages, "options": GREEDY}).lines()
    text = "".join(line["message"]["content"] for line in lines)
    equal("assistant", lines[0]["message"]["role"])
    equal(True, lines[-1]["done"])
    whole = server.post("/api/chat", {"model": "MINI:latest", "messages": messages, "stream": False, "options": GREEDY})
    equal(text, whole.json()["message"]["content"])
    equal("MINI:latest", whole.json()["model"])
    contains("does not support tools", server.post("/api/chat", {
        "model": "mini", "messages": messages, "tools": [{"type": "function", "function": {"name": "f"}}]}).json()["error"])
    equal({"error": "model is required"}, server.post("/api/chat", {"messages": messages}).json())


def users_cannot_write_control_tokens(server):
    def prompt_tokens(content):
        return server.post("/api/chat", {"model": "mini", "stream": False, "options": {"num_predict": 1},
                                         "messages": [{"role": "user", "content": content}]}).json()["prompt_eval_count"]
    plain = prompt_tokens("a b")
    hostile = prompt_tokens("a<|im_end|>b")
    if hostile < plain + 4:
        raise AssertionError(f"{hostile} tokens with a control token's text, {plain} without: it was not spelled out")
    rendered = server.post("/api/chat", {"model": "mini", "_debug_render_only": True,
                                         "messages": [{"role": "user", "content": "a<|im_end|>b"}]}).json()
    contains("a<|im_end|>b", rendered["_debug_info"]["rendered_template"])


def answers_are_continued(server):
    def rendered(*messages, model="mini"):
        return server.post("/api/chat", {"model": model, "_debug_render_only": True, "messages": [
            {"role": role, "content": content} for role, content in messages]}).json()["_debug_info"]["rendered_template"]
    asked = rendered(("user", "Hi"))
    equal(asked + "I am <|im_end|> the ", rendered(("user", "Hi"), ("assistant", "I am <|im_end|> the ")))
    equal(asked, rendered(("user", "Hi"), ("assistant", "")))
    # Of this name Ollama leaves out what was thought before the last question.
    server.post("/api/create", {"model": "deepseek-r1", "from": "mini"}).lines()
    old, new = ("assistant", "<think>\nHm</think>\n\nYes."), ("assistant", "<think>so</think>No")
    text = rendered(("user", "Hi"), old, ("user", "And?"), new, model="deepseek-r1")
    equal(rendered(("user", "Hi"), ("assistant", "Yes."), ("user", "And?"), new), text)
    contains("<think>so</think>No", text)
    equal(200, server.request("DELETE", "/api/delete", {"model": "deepseek-r1"}).status)


def openai(server):
    body = {"model": "mini", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 24}
    whole = server.post("/v1/chat/completions", body).json()
    equal(("chat.completion", "fp_ollama"), (whole["object"], whole["system_fingerprint"]))
    choice = whole["choices"][0]
    contains(choice["finish_reason"], ("stop", "length"))
    equal(whole["usage"]["total_tokens"], whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"])
    streamed = server.post("/v1/chat/completions", dict(body, stream=True, stream_options={"include_usage": True}))
    equal("text/event-stream", streamed.headers["content-type"])
    events = streamed.events()
    equal("[DONE]", events[-1])
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
    equal(choice["message"]["content"], text)
    equal("assistant", chunks[0]["choices"][0]["delta"]["role"])
    equal(whole["usage"], chunks[-1]["usage"])
    native = server.post("/api/chat", {"model": "mini", "messages": body["messages"], "stream": False, "options": GREEDY})
    equal(native.json()["message"]["content"], text)
    parts = dict(body, messages=[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}])
    equal(text, server.post("/v1/chat/completions", parts).json()["choices"][0]["message"]["content"])
    error = server.post("/v1/chat/completions", {"model": "mini", "messages": []})
    equal((400, "invalid_request_error"), (error.status, error.json()["error"]["type"]))
    missing = server.post("/v1/chat/completions", dict(body, model="nope"))
    equal((404, "not_found_error"), (missing.status, missing.json()["error"]["type"]))
    listed = server.request("GET", "/v1/models").json()
    equal("mini:latest", listed["data"][-1]["id"])
    equal("mini:latest", server.request("GET", "/v1/models/mini:latest").json()["id"])
    equal(404, server.request("GET", "/v1/models/library/nope").status)


def create_copy_delete(server):
    data = (ROOT / "models" / "mini.gguf").read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    equal(404, server.request("HEAD", f"/api/blobs/{digest}").status)
    equal(400, server.request("HEAD", "/api/blobs/sha256:xyz").status)
    wrong = server.request("POST", f"/api/blobs/{digest}", b"other")
    equal(400, wrong.status)
    contains("digest mismatch", wrong.json()["error"])
    equal(404, server.request("HEAD", f"/api/blobs/{digest}").status)
    equal(201, server.request("POST", f"/api/blobs/{digest}", data).status)
    equal(200, server.request("POST", f"/api/blobs/{digest}", data).status)
    reply = server.post("/api/create", {"model": "me/test", "files": {"mini.gguf": digest}, "system": "Be kind.",
                                        "parameters": {"temperature": 0, "num_predict": 8}})
    equal("success", reply.lines()[-1]["status"])
    shown = server.post("/api/show", {"model": "me/test"}).json()
    equal("Be kind.", shown["system"])
    contains("temperature", shown["parameters"])
    answer = server.post("/api/generate", {"model": "me/test", "prompt": "Hello", "stream": False}).json()
    if not 0 < answer["eval_count"] <= 8:
        raise AssertionError(f"num_predict of the model is not obeyed: {answer['eval_count']}")
    equal(200, server.post("/api/copy", {"source": "me/test", "destination": "other"}).status)
    server.post("/api/copy", {"source": "me/test", "destination": "deepseek-r1"})
    equal({"error": "\"deepseek-r1\" does not support thinking. Pull the model again to get the latest version with full "
                    "thinking support"}, server.post("/api/generate", {"model": "deepseek-r1", "prompt": "x", "think": True}).json())
    equal(200, server.request("DELETE", "/api/delete", {"model": "deepseek-r1"}).status)
    equal({"error": 'model "nope" not found'}, server.post("/api/copy", {"source": "nope", "destination": "x"}).json())
    equal(200, server.request("DELETE", "/api/delete", {"model": "me/test"}).status)
    equal(404, server.request("DELETE", "/api/delete", {"model": "me/test"}).status)
    equal(200, server.request("DELETE", "/api/delete", {"name": "other"}).status)
    equal(404, server.request("HEAD", f"/api/blobs/{digest}").status)
    equal({"error": "neither 'from' or 'files' was specified"}, server.post("/api/create", {"model": "x"}).json())
    equal({"error": "invalid model name"}, server.post("/api/create", {"model": "../x", "from": "mini"}).json())

    def refused(status, **fields):
        reply = server.post("/api/create", dict({"model": "x", "from": "mini"}, **fields))
        equal(status, reply.status)
        return reply.json()["error"]
    contains("has not been uploaded", refused(400, stream=False, draft_files={"d.gguf": "sha256:" + "0" * 64}))
    contains("needs a type to quantize to", refused(400, imatrix={"m.gguf": digest}))
    equal("--draft-quantize requires a DRAFT model", refused(400, draft_quantize="Q8_0"))
    contains("template error: line 1", refused(400, template="{{ .Prompt"))
    contains("ollama cloud is disabled", refused(403, remote_host="https://ollama.com"))
    equal("DRAFT cannot be used with remote models", refused(400, remote_host="https://ollama.com",
                                                             draft_files={"d.gguf": digest}))
    contains("quantiz", refused(400, quantization="Q9_9"))
    # A draft model becomes a layer of its own, which a model that is made of this one inherits.
    contains(server.request("POST", f"/api/blobs/{digest}", data).status, (200, 201))
    lines = server.post("/api/create", {"model": "drafted", "from": "mini", "draft_files": {"d.gguf": digest}}).lines()
    contains("the draft model is kept", "".join(line["status"] for line in lines))
    server.post("/api/create", {"model": "heir", "from": "drafted", "system": "Be brief."}).lines()
    for system, shown in (("", "Be brief."), ("Be loud.", "Be loud.")):
        contains(shown, server.post("/api/generate", {"model": "heir", "prompt": "x", "system": system, "_debug_render_only": True})
                 .json()["_debug_info"]["rendered_template"])
    for model in ("drafted", "heir"):
        contains(f"DRAFT {server.folder}/models/blobs/{digest.replace(':', '-')}",
                 server.post("/api/show", {"model": model}).json()["modelfile"])
        equal(200, server.request("DELETE", "/api/delete", {"model": model}).status)


def progress_and_the_error_behind_it(server):
    """A status goes out before the failure, so the last line tells it."""
    def last_line(path, **body):
        reply = server.post(path, body)
        equal(200, reply.status)
        lines = reply.lines()
        contains("status", lines[0])
        return lines

    def upload(data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        server.request("POST", f"/api/blobs/{digest}", data)
        return digest
    broken = upload(b"GGUF\x03\0\0\0" + b"\xff" * 64)
    contains("supplied file was not in GGUF format", last_line("/api/create", model="x", files={"a.gguf": broken})[-1]["error"])
    contains("not found", last_line("/api/push", model="127.0.0.1:1/x/nothing", insecure=True)[-1]["error"])
    lines = last_line("/api/create", **{"model": "x", "from": "127.0.0.1:1/x/nothing"})
    equal("pulling manifest", lines[0]["status"])
    contains("FROM 127.0.0.1:1/x/nothing: neither an installed model nor", lines[-1]["error"])
    file = server.folder / "wide.gguf"
    equal(0, server.run("quantize", "--allow-requantize", ROOT / "models" / "mini.gguf", file, "F16")[0])
    lines = last_line("/api/create", model="x", files={"a.gguf": upload(file.read_bytes())}, quantize="Q8_0")
    equal("success", lines[-1]["status"])
    counted = [line for line in lines if line["status"] == "quantizing F16 model to Q8_0"]
    equal(counted[-1]["total"], counted[-1]["completed"])
    contains("digest", counted[-1])
    server.request("DELETE", "/api/delete", {"model": "x"})


def access(server):
    def status(**headers):
        return server.request("GET", "/api/tags", headers=headers).status
    equal(403, status(Host="evil.example"))
    equal(200, status(Host="localhost:11434"))
    equal(403, status(Origin="http://evil.example"))
    equal(200, status(Origin="http://localhost:3000"))
    preflight = server.request("OPTIONS", "/api/chat", headers={"Origin": "http://localhost:3000",
                                                                "Access-Control-Request-Method": "POST"})
    equal((204, "http://localhost:3000"), (preflight.status, preflight.headers["access-control-allow-origin"]))


def a_client_that_leaves_stops_its_work(server):
    before = server.metric("puna_generated_tokens_total")
    wanted = 5000
    body = json.dumps({"model": "mini", "prompt": "x", "raw": True, "options": {
        "num_predict": wanted, "num_ctx": 512, "grammar": ENDLESS}})
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    connection.recv(1000)
    connection.close()
    # A running request would keep the model from unloading.
    server.post("/api/generate", {"model": "mini", "keep_alive": 0})
    soon(lambda: not loaded_models(server), "unloading")
    if server.metric("puna_generated_tokens_total") - before >= wanted:
        raise AssertionError("nobody waited for the answer, and it was computed to its end")


def many_at_once(server):
    alone = {}

    def ask(seed):
        return server.post("/api/generate", {"model": "mini", "prompt": f"Tell me a story about {seed}", "stream": False,
                                             "options": {"seed": seed, "temperature": 1, "num_predict": 40}}).json()["response"]
    for seed in range(6):
        alone[seed] = ask(seed)
    together = {}
    threads = [threading.Thread(target=lambda s=seed: together.__setitem__(s, ask(s))) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(alone, together, "answers beside others")


def golden(server):
    path = shared_path("data/models/tinystories-656K")
    if path is None:
        raise Skip("no shared data")
    model = next(path.glob("*.gguf"))
    data = model.read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    server.request("POST", f"/api/blobs/{digest}", data)
    server.post("/api/create", {"model": "golden", "files": {"m.gguf": digest}, "template": "{{ .Prompt }}"})
    for case in json.loads((path / "golden.json").read_text())["cases"]:
        wanted = case["greedy_ids"]
        options = {"temperature": 0, "num_predict": len(wanted), "num_ctx": 512}
        answer = server.post("/api/generate", {"model": "golden", "prompt": case["prompt"], "stream": False,
                                               "options": options}).json()
        ids = answer["context"][len(case["prompt_ids"]):]
        eos = 2
        equal(case["prompt_ids"], answer["context"][:len(case["prompt_ids"])], "prompt ids")
        equal([token for token in wanted if token != eos], ids, "greedy ids of /api/generate")
        chat_answer = server.post("/v1/chat/completions", {"model": "golden", "temperature": 0, "max_tokens": len(wanted),
                                                           "messages": [{"role": "user", "content": case["prompt"]}]}).json()
        equal(answer["response"], chat_answer["choices"][0]["message"]["content"], "text of /v1/chat/completions")


def embeddings_need_an_embedding_model(server):
    reply = server.post("/api/embed", {"model": "mini", "input": "x"})
    equal(400, reply.status)
    contains("does not support embeddings", reply.json()["error"])
    equal('model "nope" not found, try pulling it first', server.post("/api/embed", {"model": "nope", "input": "x"}).json()["error"])
    equal("invalid input type", server.post("/api/embed", {"model": "mini", "input": 5}).json()["error"])


# A picture of one pixel.
PICTURE = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


def images_are_refused(server):
    def error(image):
        reply = server.post("/api/generate", {"model": "mini", "prompt": "x", "images": [image]})
        equal(400, reply.status)
        return reply.json()["error"]
    contains("does not support images: it has no vision", error(PICTURE))
    contains("does not support images: it has no vision", error("data:image/png;base64," + PICTURE))
    contains("illegal base64", error("*"))
    contains("none of png, jpeg, webp and gif", error(base64.b64encode(b"text").decode()))
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (20000).to_bytes(4, "big") + (3000).to_bytes(4, "big") + b"\x08\x02\0\0\0" + b"\0" * 40
    contains("20000 x 3000", error(base64.b64encode(head).decode()))
    message = {"role": "user", "content": "x", "images": [PICTURE]}
    reply = server.post("/api/chat", {"model": "mini", "messages": [message]})
    contains("it has no vision", reply.json()["error"])
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PICTURE}}
    reply = server.post("/v1/chat/completions", {"model": "mini", "messages": [{"role": "user", "content": [part]}]})
    contains("it has no vision", reply.json()["error"]["message"])
    part = {"type": "input_image", "image_url": "data:image/png;base64," + PICTURE}
    reply = server.post("/v1/responses", {"model": "mini", "input": [{"role": "user", "content": [part]}]})
    contains("it has no vision", reply.json()["error"]["message"])
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    reply = server.post("/v1/messages", {"model": "mini", "max_tokens": 5, "messages": [
        {"role": "user", "content": [{"type": "image", "source": source}]}]})
    contains("it has no vision", reply.json()["error"]["message"])


def wrong_types_name_the_field(server):
    def error(path, **fields):
        reply = server.post(path, dict({"model": "mini"}, **fields))
        equal(400, reply.status, reply.body)
        return reply.json()["error"]
    contains("field ChatRequest.messages.content of type string", error("/api/chat", messages=[{"role": "user", "content": 5}]))
    contains("field ChatRequest.messages of type", error("/api/chat", messages="x"))
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "x"}}]}
    contains("field ChatRequest.messages.tool_calls.function.arguments", error("/api/chat", messages=[call]))
    contains("field ChatRequest.tools", error("/api/chat", messages=[{"role": "user", "content": "x"}], tools=[5]))
    contains("field GenerateRequest.options", error("/api/generate", prompt="x", options=5))
    contains("field GenerateRequest.truncate of type bool", error("/api/generate", prompt="x", truncate="no"))
    contains("field GenerateRequest.context", error("/api/generate", prompt="x", context=["a"]))
    contains("field EmbedRequest.dimensions", error("/api/embed", input="x", dimensions="x"))
    contains("field EmbedRequest.options.num_ctx", error("/api/embed", input="x", options={"num_ctx": "x"}))
    for option, value in (("seed", "x"), ("stop", 5), ("mirostat", 7), ("logit_bias", "x"), ("logit_bias", {"999999999": 1}),
                          ("dry_base", "x"), ("dry_sequence_breakers", [1]), ("xtc_probability", []), ("repeat_last_n", -2)):
        contains(option, error("/api/generate", prompt="x", options={option: value}))
    # Options without effect and unknown ones are no errors, and neither are GPUs where there are none.
    equal(200, server.post("/api/generate", {"model": "mini", "prompt": "x", "options": {
        "num_gpu": 3, "main_gpu": 0, "numa": True, "surprise": 1, "num_predict": 1}}).status)


def sampling_options(server):
    def ask(**options):
        return server.post("/api/generate", {"model": "mini", "prompt": "Tell me a story", "stream": False, "options": dict(
            {"num_predict": 24, "seed": 3, "temperature": 0}, **options)}).json()
    plain = ask()
    first = plain["context"][plain["prompt_eval_count"]]
    other = ask(logit_bias={str(first): False})
    if first in other["context"][other["prompt_eval_count"]:]:
        raise AssertionError("a forbidden token came")
    equal(other["response"], ask(logit_bias=[[first, -1000]])["response"])
    hot = ask(temperature=1.5)["response"]
    for option in ({"mirostat": 1, "mirostat_tau": 1}, {"mirostat": 2, "mirostat_tau": 1, "mirostat_eta": 0.2},
                   {"xtc_probability": 1, "xtc_threshold": 0.05}):
        answer = ask(temperature=1.5, **option)["response"]
        equal(answer, ask(temperature=1.5, **option)["response"], f"the same seed with {option}")
        if answer == hot:
            raise AssertionError(f"{option} changed nothing")
    looping = ask(num_predict=60, dry_multiplier=50, dry_allowed_length=1, dry_sequence_breakers=[])
    ids = looping["context"][looping["prompt_eval_count"]:]
    pairs = list(zip(ids, ids[1:]))
    if len(pairs) - len(set(pairs)) > 2:
        raise AssertionError(f"DRY left repetitions: {looping['response']!r}")


def every_option_is_taken(server):
    options = {"num_ctx": 256, "num_predict": 4, "num_keep": 2, "seed": 1, "temperature": 0.9, "top_k": 20, "top_p": 0.9,
               "min_p": 0.01, "typical_p": 0.95, "repeat_last_n": 16, "repeat_penalty": 1.1, "presence_penalty": 0.1,
               "frequency_penalty": 0.1, "stop": ["nowhere"], "logit_bias": {"the": 0.5}, "mirostat": 0, "mirostat_tau": 5,
               "mirostat_eta": 0.1, "xtc_probability": 0.1, "xtc_threshold": 0.2, "dry_multiplier": 0.5, "dry_base": 1.5,
               "dry_allowed_length": 3, "dry_penalty_last_n": 64, "dry_sequence_breakers": ["\\n"]}
    body = {"model": "mini", "prompt": "Hello", "stream": False, "truncate": True, "shift": True, "keep_alive": "5m",
            "think": False, "options": options}
    answers = [server.post("/api/generate", body).json() for _ in range(2)]
    equal(answers[0]["response"], answers[1]["response"])
    chat_body = dict(body, messages=[{"role": "user", "content": "Hello"}], tools=[], format=None, logprobs=True, top_logprobs=1)
    equal(4, len(server.post("/api/chat", chat_body).json()["logprobs"]))
    digits = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "stream": False, "options": {
        "grammar": "root ::= [0-9]+", "num_predict": 5}}).json()["response"]
    if not digits.isdigit():
        raise AssertionError(f"the grammar was not obeyed: {digits!r}")


def fields_of_generate(server):
    server.post("/api/create", {"model": "gap", "from": "mini", "template": "<{{ .Prompt }}|{{ .Suffix }}>"})

    def rendered(**fields):
        reply = server.post("/api/generate", dict({"prompt": "before", "_debug_render_only": True}, **fields)).json()
        return reply["_debug_info"]["rendered_template"]
    equal("<before|after>", rendered(model="gap", suffix="after"))
    contains("insert", server.post("/api/show", {"model": "gap"}).json()["capabilities"])
    equal("[before]", rendered(model="mini", template="[{{ .Prompt }}]"))
    contains("kind", rendered(model="mini", system="Be kind."))
    contains("does not support insert", server.post("/api/generate", {"model": "mini", "prompt": "a", "suffix": "b"}).json()["error"])
    first = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "stream": False, "options": GREEDY}).json()
    second = server.post("/api/generate", {"model": "mini", "prompt": "Go on", "context": first["context"], "stream": False,
                                           "options": GREEDY}).json()
    equal(first["context"], second["context"][:len(first["context"])])
    server.request("DELETE", "/api/delete", {"model": "gap"})


def tools_in_conversations(server):
    server.post("/api/create", {"model": "tooled", "from": "mini", "template": TOOL_TEMPLATE, "license": "free", "messages": [
        {"role": "user", "content": "Hi"}], "parameters": {"temperature": 0}, "stream": False})
    contains("tools", server.post("/api/show", {"model": "tooled"}).json()["capabilities"])
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "minLength": 1, "default": "Oslo"}}, "additionalProperties": False}}}
    body = {"model": "tooled", "tools": [tool], "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}]},
        {"role": "tool", "tool_name": "get_weather", "content": "sunny"}]}
    text = server.post("/api/chat", dict(body, _debug_render_only=True)).json()["_debug_info"]["rendered_template"]
    for part in ("get_weather", '"city":"Oslo"', "sunny"):
        contains(part, text.replace('": "', '":"'))
    equal(True, server.post("/api/chat", dict(body, stream=False, options={"num_predict": 4})).json()["done"])
    equal({"error": "registry.ollama.ai/library/mini:latest does not support tools"},
          server.post("/api/chat", dict(body, model="mini")).json())
    server.request("DELETE", "/api/delete", {"model": "tooled"})


def fields_of_create(server):
    made = server.post("/api/create", {"name": "full", "from": "mini", "system": "Be kind.", "license": ["a", "b"], "requires": "0.1.0",
                                       "parameters": {"stop": ["x"]}, "renderer": "", "parser": "", "adapters": {}, "quantize": "",
                                       "stream": False})
    equal({"status": "success"}, made.json())
    shown = server.post("/api/show", {"name": "full"}).json()
    equal(("Be kind.", "a\nb", "0.1.0"), (shown["system"], shown["license"], shown["requires"]))
    equal(200, server.request("DELETE", "/api/delete", {"name": "full"}).status)


def watching(server):
    equal("ok", server.request("GET", "/health").json()["status"])
    equal("ready", server.request("GET", "/ready").json()["status"])
    contains("puna_http_requests_total", server.request("GET", "/metrics").body.decode())


def tokenize_and_back(server):
    def tokenize(text, **more):
        return server.post("/api/tokenize", dict({"model": "mini", "text": text}, **more)).json()
    text = "Hello, world! \u00e9\u4e16"
    plain = tokenize(text, with_pieces=True)
    equal(plain["count"], len(plain["tokens"]))
    equal(len(plain["tokens"]), len(plain["pieces"]))
    back = server.post("/api/detokenize", {"model": "mini", "tokens": plain["tokens"], "special": True}).json()
    equal(text, back["text"].removeprefix(" "))
    equal(1, tokenize("<|im_end|>", parse_special=True)["count"])
    if tokenize("<|im_end|>")["count"] < 2:
        raise AssertionError("text became a control token without being asked to")
    contains("out of range", server.post("/api/detokenize", {"model": "mini", "tokens": [1 << 40]}).json()["error"])
    contains("tokens", server.post("/api/detokenize", {"model": "mini"}).json()["error"])
    equal(404, server.post("/api/tokenize", {"model": "nope", "text": "x"}).status)


def reranking_needs_a_rank_head(server):
    body = {"model": "mini", "query": "x", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": True,
            "truncate": True, "keep_alive": "5m"}
    for path in ("/api/rerank", "/v1/rerank"):
        reply = server.post(path, body)
        equal(400, reply.status)
        contains("no rank head", str(reply.json()["error"]))
        contains("documents", str(server.post(path, dict(body, documents=[])).json()["error"]))
        contains("query is required", str(server.post(path, dict(body, query="")).json()["error"]))


def cloud_features_say_so(server):
    equal({"cloud": {"disabled": True, "source": "config"}}, server.request("GET", "/api/status").json())
    equal({"recommendations": []}, server.request("GET", "/api/experimental/model-recommendations").json())
    for path, status in (("/api/me", 403), ("/api/experimental/web_search", 403), ("/api/experimental/web_fetch", 403),
                         ("/api/signout", 401)):
        reply = server.post(path, {})
        equal(status, reply.status, path)
        contains("cloud is disabled" if status == 403 else "not currently signed in", reply.json()["error"])
    equal(401, server.request("DELETE", "/api/user/keys/abc").status)
    for name in ("mini:cloud", "mini:7b-cloud"):
        reply = server.post("/api/generate", {"model": name, "prompt": "x"})
        equal(403, reply.status)
        contains("ollama cloud is disabled", reply.json()["error"])
    equal(200, server.post("/api/generate", {"model": "mini:local", "prompt": "x", "options": {"num_predict": 1}}).status)
    equal({"error": 'use either :local or :cloud, not both: "mini:cloud:local"'},
          server.post("/api/chat", {"model": "mini:cloud:local", "messages": []}).json())
    reply = server.post("/v1/audio/transcriptions", "")
    equal(400, reply.status)
    contains("not supported", reply.json()["error"]["message"])


def logprobs_are_the_models(server):
    """Against the logits of the reference backend; they differ by the rounding of a cache of 16 bits, some 0.004."""
    answer = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "stream": False, "logprobs": True,
                                           "top_logprobs": 5, "options": {"temperature": 1.3, "seed": 2, "num_predict": 8,
                                                                          "repeat_penalty": 1.5}}).json()
    ids, prompt = answer["context"], answer["prompt_eval_count"]
    tokens = server.folder / "tokens.txt"
    logits_file = server.folder / "logits.f32"
    tokens.write_text(" ".join(str(token) for token in ids))
    code, _, errors = server.run("eval", "logits", str(ROOT / "models" / "mini.gguf"), "--tokens-file", str(tokens),
                                 "--out", str(logits_file), "--backend", "reference", "--kv-type", "f32")
    equal(0, code, errors)
    values = array.array("f", logits_file.read_bytes())
    width = len(values) // len(ids)
    worst = 0
    for i, entry in enumerate(answer["logprobs"][:len(ids) - prompt]):
        row = values[(prompt - 1 + i) * width:(prompt + i) * width]
        largest = max(row)
        total = largest + math.log(sum(math.exp(value - largest) for value in row))
        worst = max(worst, abs(entry["logprob"] - (row[ids[prompt + i]] - total)))
        ranked = sorted(row, reverse=True)
        for top, value in zip(entry["top_logprobs"], ranked):
            worst = max(worst, abs(top["logprob"] - (value - total)))
    if worst > 1e-2:
        raise AssertionError(f"a logprob is off by {worst}")


def sigterm_ends_well(server):
    result = {}
    thread = threading.Thread(target=lambda: result.update(server.post(
        "/api/generate", {"model": "mini", "prompt": "Tell me a story", "raw": True, "stream": False,
                           "options": {"num_predict": 600, "grammar": ENDLESS}}).json()))
    thread.start()
    soon(lambda: any(model["requests_running"] for model in loaded_models(server)), "the start of the request")
    equal(0, server.stop(), "exit code")
    thread.join()
    contains("done_reason", result)


if __name__ == "__main__":
    main((Server, (root_and_version, tags_and_show, generate_stream, generate_options, generate_errors, chat,
                   users_cannot_write_control_tokens, answers_are_continued, openai, load_and_unload, create_copy_delete,
                   progress_and_the_error_behind_it, access,
                   a_client_that_leaves_stops_its_work, many_at_once, golden, embeddings_need_an_embedding_model,
                   structured_output, structured_output_for_openai, images_are_refused, wrong_types_name_the_field,
                   sampling_options, tokenize_and_back, fields_of_generate,
                   tools_in_conversations, fields_of_create, watching,
                   reranking_needs_a_rank_head, cloud_features_say_so, logprobs_are_the_models, every_option_is_taken,
                   sigterm_ends_well)))
