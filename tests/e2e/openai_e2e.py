#!/usr/bin/env python3
"""OpenAI's routes against a real server with the bundled model."""
import base64
import contextlib
import hashlib
import json
import math
import struct

from gguf_edit import with_key
from puna_server import ROOT, TOOL_TEMPLATE, Server, contains, equal, main

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def close(expected, actual):
    equal(len(expected), len(actual), "values")
    worst = max(abs(a - b) for a, b in zip(expected, actual))
    if worst > 1e-5:
        raise AssertionError(f"vectors differ by {worst}")


def error_of(reply, status, kind="invalid_request_error"):
    equal(status, reply.status, reply.body)
    error = reply.json()["error"]
    equal((kind, None, None), (error["type"], error["param"], error["code"]))
    return error["message"]


def chat(server, **fields):
    body = dict({"model": "mini", "messages": HELLO, "temperature": 0, "max_tokens": 16}, **fields)
    return server.post("/v1/chat/completions", body)


def text_of(reply):
    return reply.json()["choices"][0]["message"]["content"]


def chunks_of(reply):
    events = reply.events()
    equal("[DONE]", events[-1])
    return [json.loads(event) for event in events[:-1]]


def chat_choices(server):
    free = {"messages": [{"role": "user", "content": "Tell me a story"}], "temperature": 2, "seed": 11, "max_tokens": 24}
    whole = chat(server, n=3, **free).json()
    equal([0, 1, 2], [choice["index"] for choice in whole["choices"]])
    texts = [choice["message"]["content"] for choice in whole["choices"]]
    if len(set(texts)) < 2:
        raise AssertionError(f"all choices are alike: {texts}")
    # The i-th choice is the answer to the same request with seed + i.
    equal(texts, [text_of(chat(server, **dict(free, seed=11 + i))) for i in range(3)])
    streamed = chunks_of(chat(server, n=3, stream=True, **free))
    parts = ["", "", ""]
    roles, finished = [0, 0, 0], [0, 0, 0]
    for chunk in streamed:
        for choice in chunk["choices"]:
            parts[choice["index"]] += choice["delta"].get("content", "")
            roles[choice["index"]] += "role" in choice["delta"]
            finished[choice["index"]] += choice["finish_reason"] is not None
    equal(texts, parts, "streamed choices")
    equal(([1, 1, 1], [1, 1, 1]), (roles, finished))
    free["seed"] = 2**63 - 1
    equal(text_of(chat(server, **dict(free, seed=0))), chat(server, n=2, **free).json()["choices"][1]["message"]["content"])
    contains("n is 0", error_of(chat(server, n=0), 400))
    contains("n is 1000", error_of(chat(server, n=1000), 400))


def chat_limits_and_stops(server):
    limited = chat(server, max_completion_tokens=3, max_tokens=9).json()
    equal((3, "length"), (limited["usage"]["completion_tokens"], limited["choices"][0]["finish_reason"]))
    full = text_of(chat(server))
    stop = full[4:8]
    equal(full[:full.index(stop)], text_of(chat(server, stop=stop)))
    equal(full[:full.index(stop)], text_of(chat(server, stop=[stop, "nowhere"])))
    contains("ChatCompletionRequest.seed of type int", error_of(chat(server, seed="x"), 400))
    contains("ChatCompletionRequest.temperature", error_of(chat(server, temperature="hot"), 400))
    contains("ChatCompletionRequest.stream_options.include_usage",
             error_of(chat(server, stream_options={"include_usage": 3}), 400))
    small = chat(server, options={"num_predict": 2}, max_tokens=None).json()
    equal(2, small["usage"]["completion_tokens"], "options beside OpenAI's own fields")


def chat_logprobs(server):
    choice = chat(server, logprobs=True, top_logprobs=3, max_tokens=5).json()["choices"][0]
    entries = choice["logprobs"]["content"]
    equal(choice["message"]["content"].strip(), "".join(entry["token"] for entry in entries).strip())
    for entry in entries:
        equal(3, len(entry["top_logprobs"]))
        equal(entry["logprob"], entry["top_logprobs"][0]["logprob"], "greedy takes the likeliest")
        ranks = [top["logprob"] for top in entry["top_logprobs"]]
        equal(sorted(ranks, reverse=True), ranks)
    plain = chat(server, logprobs=True, max_tokens=5).json()["choices"][0]["logprobs"]["content"]
    equal([[]] * 5, [entry["top_logprobs"] for entry in plain])
    streamed = chunks_of(chat(server, logprobs=True, top_logprobs=3, max_tokens=5, stream=True))
    joined = [entry for chunk in streamed for entry in chunk["choices"][0].get("logprobs", {}).get("content", [])]
    equal(entries, joined, "streamed logprobs")
    contains("top_logprobs", error_of(chat(server, top_logprobs=21), 400))


def chat_logit_bias(server):
    first = chat(server, logprobs=True, max_tokens=1).json()["choices"][0]["logprobs"]["content"][0]["token"]
    ids = server.post("/api/tokenize", {"model": "mini", "text": first, "parse_special": True}).json()["tokens"]
    equal(1, len(ids))
    other = chat(server, logprobs=True, max_tokens=1, logit_bias={str(ids[0]): -100})
    if other.json()["choices"][0]["logprobs"]["content"][0]["token"] == first:
        raise AssertionError("a bias of -100 did not forbid the token")
    contains("logit_bias", error_of(chat(server, logit_bias={"x": "y"}), 400))


def chat_tools(server):
    plain = chat(server, _debug_render_only=True).json()["_debug_info"]["rendered_template"]
    told = chat(server, tools=[TOOL], _debug_render_only=True)
    if told.status == 400:
        contains("does not support tools", error_of(told, 400))
    else:
        contains("get_weather", told.json()["_debug_info"]["rendered_template"])
    none = chat(server, tools=[TOOL], tool_choice="none", _debug_render_only=True).json()
    equal(plain, none["_debug_info"]["rendered_template"], "tool_choice none hides the tools")
    contains("tool_choice", error_of(chat(server, tools=[TOOL], tool_choice="sometimes"), 400))
    contains("tools of type", error_of(chat(server, tools=[{"type": "custom"}]), 400))
    messages = HELLO + [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {
        "name": "f", "arguments": "not json"}}]}]
    contains("invalid tool call arguments", error_of(chat(server, messages=messages), 400))
    messages[-1]["tool_calls"][0]["function"]["arguments"] = '{"a":' + "[" * 200000 + "]" * 200000 + "}"
    contains("invalid tool call arguments", error_of(chat(server, messages=messages), 400))


def assert_weather(arguments):
    arguments = json.loads(arguments)
    equal(["city"], list(arguments))
    equal(str, type(arguments["city"]))


def tool_choice_forces_calls(server):
    server.post("/api/create", {"model": "tooled", "from": "mini", "template": TOOL_TEMPLATE})
    short = {"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "maxLength": 9}}, "required": ["city"],
        "additionalProperties": False}}}
    other = {"type": "function", "function": {"name": "stop_all", "parameters": {"type": "object", "properties": {}}}}

    def ask(**fields):
        return chat(server, model="tooled", max_tokens=200, tools=[short, other], **fields).json()
    named = {"type": "function", "function": {"name": "get_weather"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    for choice in (named, allowed):
        answer = ask(tool_choice=choice, parallel_tool_calls=False)["choices"][0]
        equal("tool_calls", answer["finish_reason"])
        equal(["get_weather"], [call["function"]["name"] for call in answer["message"]["tool_calls"]])
        assert_weather(answer["message"]["tool_calls"][0]["function"]["arguments"])
    calls = ask(tool_choice="required", parallel_tool_calls=False, temperature=1.3, seed=3)["choices"][0]["message"]["tool_calls"]
    equal(1, len(calls))
    contains(calls[0]["function"]["name"], ("get_weather", "stop_all"))
    ended = ask(tool_choice="required", temperature=0)
    equal("tool_calls", ended["choices"][0]["finish_reason"])
    equal(True, ended["usage"]["completion_tokens"] < 200, "the turn ends although more calls are allowed")
    streamed = chunks_of(chat(server, model="tooled", max_tokens=200, tools=[short], tool_choice="required", stream=True))
    calls = [call for chunk in streamed for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert_weather(calls[0]["function"]["arguments"])
    unknown = chat(server, model="tooled", tools=[short], tool_choice={"type": "function", "function": {"name": "nope"}})
    contains("names \"nope\"", error_of(unknown, 400))
    contains("there are no tools", error_of(chat(server, tool_choice="required"), 400))
    answer = respond(server, model="tooled", max_output_tokens=200, tool_choice="required", parallel_tool_calls=False, tools=[
        dict(short["function"], type="function")]).json()
    equal("function_call", answer["output"][0]["type"])
    assert_weather(answer["output"][0]["arguments"])


def structured_output(server):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 5}}, "required": ["n"],
              "additionalProperties": False}
    chat_format = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    contains(json.loads(text_of(chat(server, max_tokens=60, response_format=chat_format)))["n"], (3, 4, 5))
    answer = respond(server, max_output_tokens=60, text={"format": {"type": "json_schema", "name": "n", "strict": True, "schema": schema}})
    contains(json.loads(answer.json()["output"][0]["content"][0]["text"])["n"], (3, 4, 5))
    contains("text.format.type", error_of(respond(server, text={"format": {"type": "yaml"}}), 400))


def every_field_is_taken(server):
    sampling = {"seed": 1, "stop": ["nowhere"], "temperature": 0.5, "top_p": 0.9, "frequency_penalty": 0.1, "presence_penalty": 0.1,
                "logit_bias": {"5": 1}, "options": {"num_ctx": 256}, "keep_alive": "5m", "stream_options": None, "n": 1}
    equal(200, chat(server, **sampling, reasoning={"effort": "none"}, reasoning_effort=None).status)
    server.post("/api/create", {"model": "gap", "from": "mini", "template": "<{{ .Prompt }}|{{ .Suffix }}>"})
    reply = server.post("/v1/completions", dict(sampling, model="gap", prompt="a", suffix="b", max_tokens=3, best_of=1, raw=False,
                                                _debug_render_only=True))
    equal("<a|b>", reply.json()["_debug_info"]["rendered_template"])
    del sampling["n"], sampling["stream_options"]
    reply = respond(server, **sampling, instructions="Be brief.", reasoning={"effort": "none"}, include=["message.output_text.logprobs"],
                    top_logprobs=1, tools=[{"type": "web_search"}], tool_choice="auto", parallel_tool_calls=True,
                    previous_response_id=None, text={"format": {"type": "text"}})
    equal(200, reply.status, reply.body)
    part = reply.json()["output"][0]["content"][0]
    equal(1, len(part["logprobs"][0]["top_logprobs"]))


def chat_roles(server):
    as_system = chat(server, messages=[{"role": "system", "content": "Be brief."}] + HELLO, _debug_render_only=True)
    as_developer = chat(server, messages=[{"role": "developer", "content": "Be brief."}] + HELLO, _debug_render_only=True)
    equal(as_system.json()["_debug_info"], as_developer.json()["_debug_info"])


def chat_reasoning(server):
    contains("does not support thinking", error_of(chat(server, reasoning_effort="high"), 400))
    equal(200, chat(server, reasoning_effort="none").status)
    contains("invalid reasoning value", error_of(chat(server, reasoning={"effort": "huge"}), 400))


def chat_images(server):
    def ask(url):
        return chat(server, messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    contains("image URLs are not currently supported", error_of(ask("https://example.com/x.png"), 400))
    contains("invalid image input", error_of(ask("data:text/plain;base64,AAAA"), 400))
    contains("illegal base64", error_of(ask("data:image/png;base64,*"), 400))


def echoes(server, complete):
    """The prompt as the client gave it, with its own tokens, whole and in chunks."""
    def alike(prompt, **fields):
        fields = dict({"echo": True, "logprobs": 0, "max_tokens": 1, "prompt": prompt}, **fields)
        whole = complete(**fields).json()["choices"][0]
        parts = [choice for chunk in chunks_of(complete(stream=True, **fields)) for choice in chunk["choices"]]
        equal(whole["text"], "".join(part["text"] for part in parts))
        for key, values in whole["logprobs"].items():
            equal(values, [value for part in parts if part["logprobs"] for value in part["logprobs"][key]], key)
        fields.pop("logprobs")
        equal(whole["text"], complete(**fields).json()["choices"][0]["text"], "without logprobs")
        return whole["text"], whole["logprobs"]

    def tokens_of(text):
        return server.post("/api/tokenize", {"model": "mini", "content": text}).json()["tokens"]

    answer = complete(max_tokens=1).json()["choices"][0]["text"]
    text, lists = alike("Hello")
    equal("Hello" + answer, text)
    equal(text, "".join(lists["tokens"]))
    for prompt in ("user", "a <|im_end|> b", "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0 " * 20, "\nassistant\n", "x" * 900):
        for raw in (False, True):
            text, lists = alike(prompt, raw=raw)
            equal(prompt, text[:len(prompt)])
            offsets = lists["text_offset"]
            equal((0, len(prompt)), (offsets[0], offsets[-1]))
            for begin, end, token in zip(offsets, offsets[1:], lists["tokens"]):
                if "\ufffd" not in token:  # of a part of the template only the prompt's part counts
                    contains(text[begin:end], token)
    for name, template in (("asks", "Q: {{ .Prompt }}\nA:"), ("repeats", "{{ .Prompt }} {{ .Prompt }}")):
        equal(200, server.post("/api/create", {"model": name, "from": "mini", "template": template, "stream": False}).status)
    text, lists = alike("the end\n", model="asks")
    equal("the end\n", text[:8])
    equal((0, 8), (lists["text_offset"][0], lists["text_offset"][-1]))
    equal(" the", lists["tokens"][0], "the space is the template's")
    unknown = complete(model="repeats", prompt="Hi", echo=True, logprobs=0, max_tokens=1).json()["choices"][0]
    equal(("Hi Hi", unknown["text"]), (unknown["text"][:5], "".join(unknown["logprobs"]["tokens"])), "what the model was given")
    # Part of a character, and what is none.
    parts = tokens_of("\u65e5\U0001f600")
    for prompt in (parts[:-1], parts[1:], parts[1:] + parts[:-1]):
        text, lists = alike(prompt)
        contains("\ufffd", text)
        equal(len(prompt) + 1, len(lists["tokens"]))
        equal(len(text) - len(lists["tokens"][-1]), lists["text_offset"][-1])


def completions(server):
    def complete(**fields):
        return server.post("/v1/completions", dict({"model": "mini", "prompt": "Hello", "temperature": 0,
                                                    "max_tokens": 12}, **fields))
    whole = complete().json()
    equal("text_completion", whole["object"])
    text = whole["choices"][0]["text"]
    native = server.post("/api/generate", {"model": "mini", "prompt": "Hello", "stream": False, "options": {
        "temperature": 0, "num_predict": 12}}).json()
    equal(native["response"], text, "the same prompt as /api/generate")
    equal("Hello" + text, complete(echo=True).json()["choices"][0]["text"])
    streamed = chunks_of(complete(stream=True, echo=True, stream_options={"include_usage": True}))
    equal("Hello" + text, "".join(chunk["choices"][0]["text"] for chunk in streamed if chunk["choices"]))
    equal(whole["usage"]["completion_tokens"], streamed[-1]["usage"]["completion_tokens"])
    several = complete(prompt=["Hello", "Tell me a story"], n=2).json()
    equal([0, 1, 2, 3], [choice["index"] for choice in several["choices"]])
    equal([text, text], [choice["text"] for choice in several["choices"][:2]])
    ids = native["context"][:whole["usage"]["prompt_tokens"]]
    equal(text, complete(prompt=ids).json()["choices"][0]["text"], "the prompt as token ids")
    equal([text, text], [choice["text"] for choice in complete(prompt=[ids, ids]).json()["choices"]])
    lists = complete(logprobs=2, max_tokens=4).json()["choices"][0]["logprobs"]
    equal([4, 4, 4, 4], [len(lists[key]) for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset")])
    equal([2, 2, 2, 2], [len(top) for top in lists["top_logprobs"]])
    scored = complete(prompt=ids, echo=True, logprobs=2, max_tokens=4).json()["choices"][0]
    prompt_lists = scored["logprobs"]
    equal(len(ids) + 4, len(prompt_lists["tokens"]))
    equal([None, None], [prompt_lists["token_logprobs"][0], prompt_lists["top_logprobs"][0]], "nothing precedes it")
    equal(scored["text"], "".join(prompt_lists["tokens"]))
    equal(lists["token_logprobs"], prompt_lists["token_logprobs"][len(ids):])
    again = complete(prompt=ids + [int(i) for i in native["context"][len(ids):len(ids) + 4]], echo=True, logprobs=2,
                     max_tokens=0).json()["choices"][0]
    equal(prompt_lists["token_logprobs"][1:], again["logprobs"]["token_logprobs"][1:], "the answer as a prompt")
    streamed = chunks_of(complete(prompt=ids, echo=True, logprobs=2, max_tokens=4, stream=True))
    equal(prompt_lists["tokens"], [token for chunk in streamed for choice in chunk["choices"] if choice["logprobs"]
                                   for token in choice["logprobs"]["tokens"]])
    for stream in (False, True):
        both = complete(prompt=ids, echo=True, logprobs=2, max_tokens=4, n=2, stream=stream)
        parts = [both.json()] if not stream else chunks_of(both)
        for index in range(2):
            mine = [choice for part in parts for choice in part["choices"] if choice["index"] == index]
            equal(scored["text"], "".join(choice["text"] for choice in mine))
            equal(prompt_lists["token_logprobs"], [value for choice in mine if choice["logprobs"]
                                                   for value in choice["logprobs"]["token_logprobs"]])
    # Places are counted in characters, as the client's strings count them.
    wide = server.post("/api/tokenize", {"model": "mini", "content": "\u00e9t\u00e9 \u4e2d \U0001f600 end"}).json()["tokens"]
    placed = complete(prompt=wide, echo=True, logprobs=0, max_tokens=2).json()["choices"][0]
    offsets = placed["logprobs"]["text_offset"]
    equal(sorted(offsets), offsets)
    last = len(wide) - 1
    equal(placed["text"].index(" end") + (" end".index(placed["logprobs"]["tokens"][last])), offsets[last])
    echoes(server, complete)
    best = complete(best_of=3, n=1, temperature=1.5, seed=5).json()
    equal(1, len(best["choices"]))
    candidates = complete(n=3, temperature=1.5, seed=5, logprobs=0).json()["choices"]
    means = {c["text"]: sum(c["logprobs"]["token_logprobs"]) / len(c["logprobs"]["token_logprobs"]) for c in candidates}
    equal(max(means, key=means.get), best["choices"][0]["text"], "best_of takes the likeliest")
    contains("best_of", error_of(complete(best_of=1, n=2), 400))
    contains("best_of", error_of(complete(best_of=2, stream=True), 400))
    contains("does not support insert", error_of(complete(suffix="end"), 400))
    contains("prompt must be", error_of(complete(prompt={"a": 1}), 400))
    contains("not in the vocabulary", error_of(complete(prompt=[99999999]), 400))
    error_of(complete(model="nope"), 404, "not_found_error")
    raw = complete(raw=True).json()["choices"][0]["text"]
    equal(server.post("/api/generate", {"model": "mini", "prompt": "Hello", "raw": True, "stream": False, "options": {
        "temperature": 0, "num_predict": 12}}).json()["response"], raw)


def logprobs_are_those_of_the_reference(build):
    """The same weights in F32, so that what is compared is the arithmetic and not what quantized products round."""
    lists = []
    for backend in ("cpu", "reference"):
        with Server(build, PUNA_BACKEND=backend) as server:
            file = server.folder / "exact.gguf"
            equal(0, server.run("quantize", "--allow-requantize", ROOT / "models" / "mini.gguf", file, "F32")[0])
            (server.folder / "Modelfile").write_text(f"FROM {file}\n")
            equal(0, server.run("create", "exact", "-f", server.folder / "Modelfile")[0])
            answer = server.post("/v1/completions", {
                "model": "exact", "prompt": "Where are models stored, and how do I keep them somewhere else?", "echo": True,
                "logprobs": 5, "max_tokens": 24, "temperature": 0}).json()
            lists.append(answer["choices"][0]["logprobs"])
    fast, slow = lists
    equal(slow["tokens"], fast["tokens"])
    worst = 0
    for ours, theirs in zip(fast["top_logprobs"][1:], slow["top_logprobs"][1:]):
        # The fifth of five may be another token by a hair.
        worst = max([worst] + [abs(ours[token] - theirs[token]) for token in ours if token in theirs])
    worst = max([worst] + [abs(a - b) for a, b in zip(fast["token_logprobs"][1:], slow["token_logprobs"][1:])])
    if worst > 1e-3 or len(fast["tokens"]) < 30:
        raise AssertionError(f"logprobs differ by {worst}, {len(fast['tokens'])} tokens")


def zstd_body(text):
    """A frame of one block that is not compressed (RFC 8878)."""
    data = text.encode()
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(data)]) + (len(data) << 3 | 1).to_bytes(3, "little") + data


def compressed_bodies(server):
    def send(path, body):
        return server.post(path, body, headers={"Content-Encoding": "zstd"})
    chat_body = zstd_body(json.dumps({"model": "mini", "messages": HELLO, "temperature": 0, "max_tokens": 16}))
    equal(text_of(chat(server)), text_of(send("/v1/chat/completions", chat_body)))
    contains("failed to decompress zstd body", error_of(send("/v1/chat/completions", chat_body[:-1]), 400))
    contains("failed to decompress zstd body", error_of(send("/v1/embeddings", b"{}"), 400))
    # 21 MiB of one byte, in blocks that repeat it.
    bomb = b"\x28\xb5\x2f\xfd\x00\x58" + ((0x20000 << 3 | 2).to_bytes(3, "little") + b"a") * 168
    contains("larger than", error_of(send("/v1/completions", bomb), 413))


def embeddings_errors(server):
    def embed(**fields):
        return server.post("/v1/embeddings", dict({"model": "mini", "input": "x"}, **fields))
    contains("does not support embeddings", error_of(embed(), 400))
    equal("invalid input", error_of(embed(input=[]), 400))
    equal("invalid input", error_of(embed(input=None), 400))
    contains("encoding_format", error_of(embed(encoding_format="hex"), 400))
    equal('model "nope" not found, try pulling it first', error_of(embed(model="nope"), 404, "not_found_error"))


def embedder(server):
    """A model that embeds: mini's network with its last states averaged."""
    data = with_key((ROOT / "models" / "mini.gguf").read_bytes(), "llama.pooling_type", 1)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    server.request("POST", f"/api/blobs/{digest}", data)
    equal("success", server.post("/api/create", {"model": "embedder", "files": {"m.gguf": digest}}).lines()[-1]["status"])


def embeddings(server):
    embedder(server)

    def embed(**fields):
        reply = server.post("/v1/embeddings", dict({"model": "embedder", "input": "Hello"}, **fields))
        equal(200, reply.status, reply.body)
        return reply.json()
    native = server.post("/api/embed", {"model": "embedder", "input": ["Hello", "Good night"], "keep_alive": "5m"}).json()
    equal(2, len(native["embeddings"]))
    one = embed()
    close(native["embeddings"][0], one["data"][0]["embedding"])
    close([1], [math.hypot(*one["data"][0]["embedding"])])
    equal(one["usage"]["prompt_tokens"], one["usage"]["total_tokens"])
    both = embed(input=["Hello", "Good night"])
    equal([0, 1], [entry["index"] for entry in both["data"]])
    close(native["embeddings"][1], both["data"][1]["embedding"])
    packed = base64.b64decode(embed(encoding_format="base64")["data"][0]["embedding"])
    close(one["data"][0]["embedding"], struct.unpack(f"<{len(packed) // 4}f", packed))
    ids = server.post("/api/tokenize", {"model": "embedder", "text": "Hello", "add_special": True}).json()["tokens"]
    close(one["data"][0]["embedding"], embed(input=ids)["data"][0]["embedding"])
    close(one["data"][0]["embedding"], embed(input=[ids, ids])["data"][1]["embedding"])
    short = embed(dimensions=8)["data"][0]["embedding"]
    scale = math.hypot(*one["data"][0]["embedding"][:8])
    close([value / scale for value in one["data"][0]["embedding"][:8]], short)
    close(short, server.post("/api/embed", {"model": "embedder", "input": "Hello", "dimensions": 8}).json()["embeddings"][0])
    older = server.post("/api/embeddings", {"model": "embedder", "prompt": "Hello", "keep_alive": 300,
                                            "options": {"num_ctx": 64}}).json()["embedding"]
    scale = math.hypot(*older)
    close(one["data"][0]["embedding"], [value / scale for value in older])
    equal([], server.post("/api/embeddings", {"model": "embedder", "prompt": ""}).json()["embedding"])
    equal([], server.post("/api/embed", {"model": "embedder"}).json()["embeddings"])


def embeddings_say_when_they_cut(server):
    embedder(server)
    body = {"model": "embedder", "input": ["Tell me a long story about the sea", "Hi"], "options": {"num_ctx": 6}}
    cut = server.post("/api/embed", dict(body, truncate=True)).json()
    equal(1, cut["prompt_truncated_count"])
    server.post("/api/create", {"model": "short-embedder", "from": "embedder", "parameters": {"num_ctx": 6}})
    usage = server.post("/v1/embeddings", {"model": "short-embedder", "input": body["input"]}).json()["usage"]
    equal(1, usage["truncated_inputs"])
    refused = server.post("/api/embed", dict(body, truncate=False))
    equal(400, refused.status)
    contains("the input length exceeds the context length", refused.json()["error"])
    reply = server.post("/api/embed", dict(body, options={"num_ctx": 0}))
    equal((400, {"error": "input after truncation exceeds maximum context length"}), (reply.status, reply.json()))
    equal({"error": '"embedder" does not support chat'},
          server.post("/api/chat", {"model": "embedder", "messages": HELLO}).json())
    equal({"error": '"embedder" does not support generate'},
          server.post("/api/generate", {"model": "embedder", "prompt": "x"}).json())


def models(server):
    server.post("/api/copy", {"source": "mini", "destination": "team/copy:v1"})
    listed = server.request("GET", "/v1/models").json()
    equal(("list", False), (listed["object"], listed["has_more"]))
    names = [model["id"] for model in listed["data"]]
    contains("team/copy:v1", names)
    contains("mini:latest", names)
    one = server.request("GET", "/v1/models/team/copy:v1").json()
    equal(("team/copy:v1", "model", "team"), (one["id"], one["object"], one["owned_by"]))
    for name in ("mini", "mini:latest"):
        one = server.request("GET", f"/v1/models/{name}").json()
        equal((name, "library"), (one["id"], one["owned_by"]))
    error_of(server.request("GET", "/v1/models/team/none"), 404, "not_found_error")
    server.request("DELETE", "/api/delete", {"model": "team/copy:v1"})


def respond(server, **fields):
    return server.post("/v1/responses", dict({"model": "mini", "input": "Hello", "temperature": 0,
                                              "max_output_tokens": 12}, **fields))


def responses(server):
    whole = respond(server).json()
    equal(("response", "incomplete", {"reason": "max_output_tokens"}),
          (whole["object"], whole["status"], whole["incomplete_details"]))
    message = whole["output"][0]
    equal(("message", "assistant", "incomplete"), (message["type"], message["role"], message["status"]))
    text = message["content"][0]["text"]
    equal(text_of(chat(server, max_tokens=12)), text)
    equal(12, whole["usage"]["output_tokens"])
    long = respond(server, max_output_tokens=None, stop=text[4:8]).json()
    equal(("completed", None), (long["status"], long["incomplete_details"]))
    items = [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]
    equal(text, respond(server, input=items).json()["output"][0]["content"][0]["text"])
    rendered = respond(server, instructions="Be brief.", _debug_render_only=True).json()["_debug_info"]
    contains("Be brief.", rendered["rendered_template"])
    contains("not stored", error_of(respond(server, previous_response_id="resp_1"), 400))
    contains("not supported", error_of(respond(server, input=[{"type": "mystery"}]), 400))
    contains("input must be", error_of(respond(server, input=[]), 400))
    contains("file inputs", error_of(respond(server, input=[{"role": "user", "content": [{"type": "input_file"}]}]), 400))
    error_of(respond(server, model="nope"), 404, "not_found_error")


def responses_stream(server):
    events = respond(server, stream=True).named_events()
    names = [name for name, _ in events]
    equal(names, [data["type"] for _, data in events])
    equal(list(range(len(events))), [data["sequence_number"] for _, data in events])
    deltas = names.count("response.output_text.delta")
    equal(["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"] +
          ["response.output_text.delta"] * deltas +
          ["response.output_text.done", "response.content_part.done", "response.output_item.done",
           "response.incomplete"], names)
    final = events[-1][1]["response"]
    whole = respond(server).json()
    text = "".join(data["delta"] for name, data in events if name == "response.output_text.delta")
    equal(whole["output"][0]["content"][0]["text"], text)
    equal(text, final["output"][0]["content"][0]["text"])
    equal(whole["usage"]["output_tokens"], final["usage"]["output_tokens"])


if __name__ == "__main__":
    main((Server, (tool_choice_forces_calls, structured_output, chat_choices,
                   chat_limits_and_stops, chat_logprobs, chat_logit_bias, chat_tools, chat_roles, chat_reasoning,
                   chat_images, completions, compressed_bodies, embeddings_errors, embeddings, embeddings_say_when_they_cut, models,
                   responses, responses_stream, every_field_is_taken)), (contextlib.nullcontext, (logprobs_are_those_of_the_reference,)))
