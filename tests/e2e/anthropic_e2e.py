#!/usr/bin/env python3
"""Anthropic's Messages API against a real server with the bundled model."""
import json

from puna_server import TOOL_TEMPLATE, Server, contains, equal, main

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"name": "get_weather", "description": "weather of a city", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


def ask(server, **fields):
    body = dict({"model": "mini", "messages": HELLO, "max_tokens": 12, "temperature": 0}, **fields)
    return server.post("/v1/messages", {key: value for key, value in body.items() if value is not None})


def error_of(reply, status, kind="invalid_request_error"):
    equal(status, reply.status, reply.body)
    body = reply.json()
    equal(("error", kind), (body["type"], body["error"]["type"]))
    equal(reply.headers["x-request-id"], body["request_id"])
    return body["error"]["message"]


def rendered(server, **fields):
    return ask(server, _debug_render_only=True, **fields).json()["_debug_info"]["rendered_template"]


def whole(server):
    body = ask(server).json()
    equal(("message", "assistant", "mini", "max_tokens", None),
          (body["type"], body["role"], body["model"], body["stop_reason"], body["stop_sequence"]))
    contains("msg_", body["id"])
    native = server.post("/api/chat", {"model": "mini", "messages": HELLO, "stream": False, "options": {
        "temperature": 0, "num_predict": 12}}).json()
    equal([{"type": "text", "text": native["message"]["content"]}], body["content"])
    equal({"input_tokens": native["prompt_eval_count"], "output_tokens": 12}, body["usage"])


def stop_sequences(server):
    text = ask(server).json()["content"][0]["text"]
    stop = text[4:8]
    body = ask(server, stop_sequences=["nowhere", stop]).json()
    equal(("stop_sequence", stop), (body["stop_reason"], body["stop_sequence"]))
    equal(text[:text.index(stop)], body["content"][0]["text"])
    contains("MessagesRequest.stop_sequences", error_of(ask(server, stop_sequences="x"), 400))


def stream(server):
    events = ask(server, stream=True).named_events()
    names = [name for name, _ in events]
    equal(names, [data["type"] for _, data in events])
    deltas = names.count("content_block_delta")
    equal(["message_start", "ping", "content_block_start"] + ["content_block_delta"] * deltas +
          ["content_block_stop", "message_delta", "message_stop"], names)
    body = ask(server).json()
    text = "".join(data["delta"]["text"] for name, data in events if name == "content_block_delta")
    equal(body["content"][0]["text"], text)
    equal(body["usage"]["input_tokens"], events[0][1]["message"]["usage"]["input_tokens"], "exact at the start")
    final = dict(events[names.index("message_delta")][1])
    equal((body["usage"], {"stop_reason": "max_tokens", "stop_sequence": None}), (final["usage"], final["delta"]))


def counts_tokens(server):
    def count(**fields):
        reply = server.post("/v1/messages/count_tokens", dict({"model": "mini", "messages": HELLO}, **fields))
        equal(200, reply.status, reply.body)
        return reply.json()["input_tokens"]
    equal(ask(server).json()["usage"]["input_tokens"], count())
    if count(system="You are kind.") <= count():
        raise AssertionError("the system prompt is not counted")
    error_of(server.post("/v1/messages/count_tokens", {"model": "nope", "messages": HELLO}), 404, "not_found_error")


def blocks(server):
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    equal(rendered(server), rendered(server, messages=parts))
    contains("Be kind.", rendered(server, system=[{"type": "text", "text": "Be kind.", "cache_control": {}}]))
    turns = HELLO + [{"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Wait"},
        {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [
            {"type": "text", "text": "sunny"}]}, {"type": "text", "text": "Thanks"}]}]
    equal(200, ask(server, messages=turns).status)
    contains("Thanks", rendered(server, messages=turns))
    bad = HELLO + [{"role": "assistant", "content": [{"type": "tool_use", "name": "x", "input": {}}]}]
    contains("missing id", error_of(ask(server, messages=bad), 400))
    image = [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]}]
    contains("invalid image source type: url", error_of(ask(server, messages=image), 400))


def fields(server):
    equal("model is required", error_of(ask(server, model=None), 400))
    equal("max_tokens is required and must be positive", error_of(ask(server, max_tokens=None), 400))
    equal("messages is required", error_of(ask(server, messages=[]), 400))
    error_of(ask(server, model="nope"), 404, "not_found_error")
    contains("MessagesRequest.top_k of type int", error_of(ask(server, top_k="x"), 400))
    equal("missing request body", error_of(server.post("/v1/messages", ""), 400))
    # A model that cannot think is not asked to.
    equal(200, ask(server, thinking={"type": "enabled", "budget_tokens": 1024}).status)
    contains("thinking.type", error_of(ask(server, thinking={"type": "perhaps"}), 400))
    equal(200, ask(server, tools=[TOOL], tool_choice={"type": "none"}).status)
    contains("tool_choice.type", error_of(ask(server, tool_choice={"type": "perhaps"}), 400))
    contains("tools of type", error_of(ask(server, tools=[{"type": "computer_20250124", "name": "c"}]), 400))


def tool_choice_forces_calls(server):
    server.post("/api/create", {"model": "tooled", "from": "mini", "template": TOOL_TEMPLATE})
    schema = dict(TOOL["input_schema"], properties={"city": {"type": "string", "maxLength": 9}}, additionalProperties=False)
    for choice in ({"type": "any", "disable_parallel_tool_use": True}, {"type": "tool", "name": "get_weather"}):
        body = ask(server, model="tooled", max_tokens=200, tools=[dict(TOOL, input_schema=schema)], tool_choice=choice).json()
        equal("tool_use", body["stop_reason"])
        equal(("tool_use", "get_weather", ["city"]), (body["content"][0]["type"], body["content"][0]["name"],
                                                      list(body["content"][0]["input"])))
    events = ask(server, model="tooled", max_tokens=200, tools=[dict(TOOL, input_schema=schema)], tool_choice={"type": "any"},
                 stream=True).named_events()
    deltas = [data["delta"] for name, data in events if name == "content_block_delta"]
    contains("input_json_delta", [delta["type"] for delta in deltas])
    contains("names \"nope\"", error_of(ask(server, model="tooled", tools=[TOOL], tool_choice={"type": "tool", "name": "nope"}), 400))


def every_field_is_taken(server):
    reply = ask(server, system="Be kind.", top_p=0.9, top_k=20, temperature=0.5, stop_sequences=["nowhere"], tools=[],
                tool_choice={"type": "auto"}, thinking={"type": "disabled"}, output_config={"effort": "low"},
                options={"num_ctx": 256, "seed": 1}, keep_alive="5m")
    equal(200, reply.status, reply.body)
    schema = {"type": "object", "properties": {"n": {"enum": [3, 4]}}, "required": ["n"], "additionalProperties": False}
    answer = ask(server, max_tokens=60, output_config={"format": {"type": "json_schema", "schema": schema}}).json()
    contains(json.loads(answer["content"][0]["text"])["n"], (3, 4))
    reply = server.post("/v1/messages/count_tokens", {"model": "mini", "messages": HELLO, "system": "s", "tools": [],
                                                      "thinking": {"type": "disabled"}})
    equal(200, reply.status, reply.body)


def threads_are_refused(server):
    """As the SDK's tool runner wants it, which sends the whole conversation then."""
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        for thread in ({"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}):
            reply = server.post(path, {"model": "mini", "messages": HELLO, "max_tokens": 5, "thread": thread})
            contains("thread is not supported", error_of(reply, 400))
            equal({"error_code": "thread_unsupported_request", "unsupported": []}, reply.json()["error"]["details"])
    equal(200, server.post("/v1/messages", {"model": "mini", "messages": HELLO, "max_tokens": 5, "thread": None}).status)


def browsers_may_call(server):
    preflight = server.request("OPTIONS", "/v1/messages", headers={
        "Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key,anthropic-version,content-type"})
    equal(204, preflight.status)
    for name in ("x-api-key", "anthropic-version"):
        contains(name, preflight.headers["access-control-allow-headers"])


def models_in_anthropics_form(server):
    listed = server.request("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    equal((False, listed["data"][0]["id"], listed["data"][-1]["id"]),
          (listed["has_more"], listed["first_id"], listed["last_id"]))
    for key in ("id", "type", "display_name", "created_at"):
        contains(key, listed["data"][0])


if __name__ == "__main__":
    main((Server, (whole, stop_sequences, stream, counts_tokens, blocks, fields, tool_choice_forces_calls,
                   threads_are_refused, browsers_may_call, models_in_anthropics_form, every_field_is_taken)))
