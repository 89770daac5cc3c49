#!/usr/bin/env python3
"""What the fields of requests do, seen in the prompt that the model gets, in its answer, or in what the server says later."""
import base64
import datetime
import hashlib
import json
import struct
import zlib

from api_contract import CONTRACT
from gguf_file import F32, STRING, UINT32, GgufFile
from openai_e2e import embedder
from puna_server import ENDLESS, ROOT, TOOL_TEMPLATE, Server, Skip, contains, equal, main

# Tells all that a template is told.
MIRROR = """{{ if .Tools }}TOOLS={{ .Tools }}
{{ end }}THINK={{ .IsThinkSet }},{{ .Think }},{{ .ThinkLevel }}
{{ range .Messages }}[{{ .Role }}|{{ .Content }}|<think>{{ .Thinking }}</think>|{{ .ToolName }}|{{ .ToolCallID }}|
{{- range .ToolCalls }}{{ .ID }},{{ .Function.Index }},{{ .Function.Name }},{{ .Function.Arguments }};{{ end }}]
{{ end }}ANSWER:"""
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "default": "Oslo", "maxLength": 9}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "of a city", "parameters": SCHEMA}
HELLO = [{"role": "user", "content": "Hello"}]


def mirror(server):
    server.post("/api/create", {"model": "mirror", "from": "mini", "template": MIRROR})


def rendered(server, path, **fields):
    """The prompt of a request to the model that mirrors."""
    body = {"model": "mirror", "_debug_render_only": True, **({"max_tokens": 5} if path == "/v1/messages" else {}), **fields}
    reply = server.post(path, body)
    equal(200, reply.status, reply.body)
    return reply.json()["_debug_info"]["rendered_template"]


def refused(server, path, words, **fields):
    reply = server.post(path, {"model": "mirror", **({"max_tokens": 5} if path == "/v1/messages" else {}), **fields})
    equal(400, reply.status, reply.body)
    error = reply.json()["error"]
    contains(words, error if isinstance(error, str) else error["message"])


CALL_LINE = '[assistant|Let me see.|<think>Where?</think>|||c1,0,weather,{"city":"Oslo"};c2,1,weather,{};]\n'
RESULT_LINE = "[tool|sunny|<think></think>|weather|c1|]\n"


def native_messages(server):
    mirror(server)
    calls = [{"id": "c1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Oslo"}}},
             {"id": "c2", "function": {"name": "weather", "arguments": {}}}]
    text = rendered(server, "/api/chat", messages=HELLO + [
        {"role": "Assistant", "content": "Let me see.", "thinking": "Where?", "tool_calls": calls},
        {"role": "tool", "content": "sunny", "tool_name": "weather", "tool_call_id": "c1"}])
    contains("[user|Hello|<think></think>|||]\n" + CALL_LINE + RESULT_LINE + "ANSWER:", text)


def tools_reach_the_template_whole(server):
    mirror(server)
    function = {"type": "function", "function": WEATHER}
    flat = {"type": "function", **WEATHER}
    for path, tool, messages in (("/api/chat", function, {"messages": HELLO}),
                                 ("/v1/chat/completions", function, {"messages": HELLO}),
                                 ("/v1/responses", flat, {"input": "Hello"}),
                                 ("/v1/messages", {"type": "custom", "name": "weather", "description": "of a city",
                                                   "input_schema": SCHEMA}, {"messages": HELLO})):
        told = json.loads(rendered(server, path, tools=[tool], **messages).partition("TOOLS=")[2].partition("\n")[0])
        equal([function], told, path)
    spaced = {"type": "namespace", "name": "sky", "tools": [flat]}
    contains('"sky.weather"', rendered(server, "/v1/responses", tools=[spaced], input="Hello"))
    spaced["tools"] = [flat | {"name": "sky.weather"}]
    contains('"name":"sky.weather"', rendered(server, "/v1/responses", tools=[spaced], input="Hello").replace(": ", ":"))
    for path, tool, messages in (("/v1/chat/completions", function | {"function": WEATHER | {"strict": True}}, {"messages": HELLO}),
                                 ("/v1/responses", flat | {"strict": True}, {"input": "Hello"})):
        contains('"strict":true', rendered(server, path, tools=[tool], **messages).replace(": ", ":"))


def tool_choice_chooses_tools(server):
    mirror(server)
    other = {"name": "news"}
    chat_tools = [{"type": "function", "function": one} for one in (WEATHER, other)]
    flat_tools = [{"type": "function", **one} for one in (WEATHER, other)]
    cases = (("/v1/chat/completions", {"messages": HELLO, "tools": chat_tools},
              {"type": "function", "function": {"name": "news"}}, "none",
              {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "news"}}]}}),
             ("/v1/responses", {"input": "Hello", "tools": flat_tools}, {"type": "function", "name": "news"}, "none",
              {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "news"}]}),
             ("/v1/messages", {"messages": HELLO, "tools": [{"name": "weather", "input_schema": SCHEMA}, {"name": "news", "input_schema": {}}]},
              {"type": "tool", "name": "news", "disable_parallel_tool_use": True}, {"type": "none"}, None))
    for path, body, named, none, allowed in cases:
        contains("weather", rendered(server, path, **body))
        for choice in filter(None, (named, allowed)):
            text = rendered(server, path, tool_choice=choice, **body)
            contains("news", text)
            equal(False, "weather" in text, path)
        equal(False, "TOOLS" in rendered(server, path, tool_choice=none, **body))
    counted = [server.post("/v1/messages/count_tokens", {"model": "mirror", **cases[2][1], "tool_choice": {"type": kind}}).json()["input_tokens"]
               for kind in ("auto", "none")]
    if counted[0] <= counted[1]:
        raise AssertionError(f"{counted} tokens with tools and without")


def tools_of_a_namespace_have_one_name_for_the_model(server):
    mirror(server)
    flat = {"type": "function", **WEATHER}
    tools = [{"type": "namespace", "name": name, "tools": [flat]} for name in ("sky", "sea")]
    for extra in ({"namespace": "sky"}, {"namespace": "sky", "name": "sky.weather"}, {"name": "sky.weather"}):
        call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}", **extra}
        text = rendered(server, "/v1/responses", tools=tools, input=HELLO + [
            call, {"type": "function_call_output", "call_id": "c1", "output": "sunny"}])
        contains("c1,0,sky.weather,{};", text)
        contains("[tool|sunny|<think></think>|sky.weather|c1|]", text)
    chosen = {"type": "function", "namespace": "sky", "name": "weather"}
    for choice in (chosen, {"type": "allowed_tools", "mode": "auto", "tools": [chosen]}):
        text = rendered(server, "/v1/responses", tools=tools, tool_choice=choice, input="Hello")
        contains("sky.weather", text)
        equal(False, "sea.weather" in text, choice)


def results_are_named_after_the_last_call(server):
    """Some clients count ids anew in each turn."""
    mirror(server)
    names = ("news", "weather")
    chats = [{"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": name, "arguments": "{}"}}]} for name in names]
    items = [{"type": "function_call", "call_id": "c1", "name": name, "arguments": "{}"} for name in names]
    turns = [{"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": name, "input": {}}]} for name in names]
    for path, fields in (
            ("/v1/chat/completions", {"messages": HELLO + chats + [{"role": "tool", "tool_call_id": "c1", "content": "sunny"}]}),
            ("/v1/responses", {"input": HELLO + items + [{"type": "function_call_output", "call_id": "c1", "output": "sunny"}]}),
            ("/v1/messages", {"messages": HELLO + turns + [
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}]}]})):
        contains(RESULT_LINE, rendered(server, path, **fields))


def thinking_is_asked_for(server):
    mirror(server)
    def line(path, **fields):
        return rendered(server, path, **fields).partition("THINK=")[2].partition("\n")[0]
    for path, fields in (("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "Hello"})):
        equal("true,true,medium", line(path, **fields))
        equal("true,false,", line(path, think=False, **fields))
        equal("true,true,high", line(path, think="high", **fields))
    for path, fields in (("/v1/chat/completions", {"messages": HELLO}), ("/v1/responses", {"input": "Hello"})):
        for effort, expected in (("none", "true,false,"), ("minimal", "true,true,low"), ("medium", "true,true,medium"),
                                 ("xhigh", "true,true,max")):
            equal(expected, line(path, reasoning={"effort": effort}, **fields))
        refused(server, path, "invalid reasoning value", reasoning={"effort": "enormous"}, **fields)
        refused(server, path, "reasoning.effort of type string", reasoning={"effort": 5}, **fields)
    equal("true,true,low", line("/v1/chat/completions", reasoning_effort="low", messages=HELLO))
    equal("true,false,", line("/v1/messages", thinking={"type": "disabled"}, messages=HELLO))
    equal("true,true,medium", line("/v1/messages", thinking={"type": "enabled", "budget_tokens": 1024}, messages=HELLO))
    equal("true,true,high", line("/v1/messages", output_config={"effort": "high"}, messages=HELLO))


def chat_completions_messages(server):
    mirror(server)
    calls = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
             {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": ""}}]
    for thinking in ("reasoning", "reasoning_content"):
        text = rendered(server, "/v1/chat/completions", messages=[
            {"role": "developer", "content": "Be kind."}, *HELLO,
            {"role": "assistant", "content": [{"type": "text", "text": "Let me see."}], thinking: "Where?", "tool_calls": calls},
            {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
            {"role": "tool", "content": "cold", "name": "other", "tool_call_id": "c2"}])
        contains("[system|Be kind.|", text)
        contains(CALL_LINE + RESULT_LINE + "[tool|cold|<think></think>|other|c2|]\n", text)
    parts = [{"type": "text", "text": "one"}, {"type": "refusal", "refusal": "two"}]
    contains("[user|one\ntwo|", rendered(server, "/v1/chat/completions", messages=[{"role": "user", "content": parts}]))
    for field, value in (("role", 5), ("tool_call_id", 5), ("name", []), ("tool_calls", {}), ("reasoning", 1)):
        refused(server, "/v1/chat/completions", f"ChatCompletionRequest.messages.{field}", messages=[{"role": "user", "content": "x", field: value}])
    refused(server, "/v1/chat/completions", "tool_calls.function.name", messages=[
        {"role": "assistant", "tool_calls": [{"function": {"name": 5}}]}])
    refused(server, "/v1/chat/completions", '"text" of a content part', messages=[{"role": "user", "content": [{"type": "text"}]}])
    for part in ("input_audio", "file"):
        refused(server, "/v1/chat/completions", "not currently supported", messages=[{"role": "user", "content": [{"type": part}]}])
    for field, value in (("functions", []), ("function_call", "auto"), ("modalities", ["text", "audio"])):
        refused(server, "/v1/chat/completions", field, messages=HELLO, **{field: value})
    rendered(server, "/v1/chat/completions", messages=HELLO, modalities=["text"])


def responses_items(server):
    mirror(server)
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
             {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Where?"}]},
             {"role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
             {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Oslo"}'},
             {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
             {"type": "web_search_call"},
             {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
             {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "cold"}]}]
    text = rendered(server, "/v1/responses", input=items, instructions="Be kind.")
    contains("[system|Be kind.|", text)
    contains(CALL_LINE + RESULT_LINE + "[tool|cold|<think></think>|weather|c2|]\n", text)
    items[1] = {"type": "reasoning", "summary": [], "encrypted_content": "Where?"}
    contains(CALL_LINE, rendered(server, "/v1/responses", input=items))
    for field in ("role", "name", "call_id", "arguments"):
        refused(server, "/v1/responses", f"ResponsesRequest.input.{field} of type string", input=[{"type": "function_call", field: 5}])
    for field, value in (("instructions", 5), ("tools", {}), ("include", "x"), ("text", 5), ("reasoning", 5)):
        refused(server, "/v1/responses", f"ResponsesRequest.{field}", input="x", **{field: value})
    for field in ("previous_response_id", "conversation", "prompt"):
        refused(server, "/v1/responses", "not stored", input="x", **{field: "x"})
    refused(server, "/v1/responses", "background", input="x", background=True)
    refused(server, "/v1/responses", "ResponsesRequest.background of type bool", input="x", background="yes")
    refused(server, "/v1/responses", "ResponsesRequest.tools.parameters of type", input="x", tools=[
        {"type": "function", "name": "x", "parameters": "{}"}])
    # What the assistant says between a call and its result stays in the turn of the call.
    text = rendered(server, "/v1/responses", input=[items[0], items[1], items[3], items[2], items[4], *items[6:]])
    contains(CALL_LINE + RESULT_LINE, text)
    text = rendered(server, "/v1/responses", input=[items[0], items[3], items[2], {"role": "assistant", "content": "Soon."}, items[6]])
    contains('[assistant|Let me see.\nSoon.|<think></think>|||c1,0,weather,{"city":"Oslo"};]\n' + RESULT_LINE, text)
    refused(server, "/v1/responses", 'item of type "item_reference"', input=[{"type": "item_reference", "id": "x"}])
    refused(server, "/v1/responses", 'tools of type "code_interpreter"', input="x", tools=[{"type": "code_interpreter"}])


def responses_truncation(server):
    long = "word " * 400
    few = {"options": {"num_ctx": 128}, "max_output_tokens": 3}
    equal(200, server.post("/v1/responses", {"model": "mini", "input": [{"role": "user", "content": long}, *HELLO],
                                             "truncation": "auto", **few}).status)
    reply = server.post("/v1/responses", {"model": "mini", "input": [{"role": "user", "content": long}, *HELLO],
                                          "truncation": "disabled", **few})
    equal(400, reply.status, reply.body)
    contains("do not fit the context", reply.json()["error"]["message"])
    refused(server, "/v1/responses", 'truncation is "middle"', input="x", truncation="middle")


def responses_stream_calls_and_logprobs(server):
    server.post("/api/create", {"model": "caller", "from": "mini", "template": TOOL_TEMPLATE})
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    events = server.post("/v1/responses", {
        "model": "caller", "input": "Hello", "stream": True, "max_output_tokens": 200, "tool_choice": "required", "parallel_tool_calls": False,
        "tools": [{"type": "function", "name": "count", "parameters": schema}]}).named_events()
    names = [name for name, _ in events]
    equal(["response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done",
           "response.output_item.done", "response.completed"], names[-5:])
    item = events[-2][1]["item"]
    equal(("count", item["arguments"]), (item["name"], events[-3][1]["arguments"]))
    equal(item, events[-1][1]["response"]["output"][-1])
    contains(json.loads(item["arguments"])["n"], (1, 2))
    events = server.post("/v1/responses", {
        "model": "mini", "input": "Hello", "stream": True, "max_output_tokens": 4, "include": ["message.output_text.logprobs"], "top_logprobs": 2,
        "text": {"format": {"type": "text"}}}).named_events()
    streamed = [entry for name, data in events if name == "response.output_text.delta" for entry in data["logprobs"]]
    done = next(data for name, data in events if name == "response.output_text.done")
    equal(streamed, done["logprobs"])
    equal(4, len(streamed))
    equal(streamed, next(data for name, data in events if name == "response.output_item.done")["item"]["content"][0]["logprobs"])


def responses_repeat_the_request(server):
    said = {"metadata": {"a": "b"}, "user": "me", "instructions": "Be kind.", "temperature": 0.5, "top_p": 0.5, "truncation": "auto",
            "max_output_tokens": 3, "parallel_tool_calls": False, "tool_choice": "none", "background": False,
            "presence_penalty": 0.5, "frequency_penalty": 0.25}
    answer = server.post("/v1/responses", {"model": "mini", "input": "Hello", **said}).json()
    for name, value in said.items():
        equal(value, answer[name], name)
    equal(("incomplete", None), (answer["status"], answer["completed_at"]))
    answer = server.post("/v1/responses", {"model": "mini", "input": "Hello", "options": {"grammar": 'root ::= "x"'}}).json()
    equal(("completed", True, 0, 0), (answer["status"], answer["completed_at"] >= answer["created_at"], answer["presence_penalty"],
                                      answer["frequency_penalty"]))
    for name in ("max_tool_calls", "safety_identifier", "prompt_cache_key"):
        equal(None, answer[name], name)
    equal("default", answer["service_tier"])


def messages_blocks(server):
    mirror(server)
    turns = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]},
             {"role": "assistant", "content": [
                 {"type": "thinking", "thinking": "Where?", "signature": ""}, {"type": "text", "text": "Let me see."},
                 {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
                 {"type": "tool_use", "id": "c2", "name": "weather", "input": {}}]},
             {"role": "user", "content": [
                 {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                 {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "cold"}]},
                 {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A page."}},
                 {"type": "search_result", "title": "Found", "source": "x", "content": [{"type": "text", "text": "there."}]},
                 {"type": "redacted_thinking", "data": "x"}]}]
    text = rendered(server, "/v1/messages", messages=turns, system=[{"type": "text", "text": "Be"}, {"type": "text", "text": "kind."}])
    contains("[system|Be\nkind.|", text)
    contains(CALL_LINE + RESULT_LINE + "[tool|cold|<think></think>|weather|c2|]\n[user|A page.\nFound\nthere.|", text)
    counted = server.post("/v1/messages/count_tokens", {"model": "mirror", "messages": turns}).json()["input_tokens"]
    equal(server.post("/v1/messages", {"model": "mirror", "messages": turns, "max_tokens": 1}).json()["usage"]["input_tokens"], counted)
    for words, content in (("blocks must be objects", ["x"]), ('block of type "text" has no text', [{"type": "text"}]),
                           ("plain text only", [{"type": "document", "source": {"type": "base64"}}])):
        refused(server, "/v1/messages", words, messages=[{"role": "user", "content": content}])
    def wrong_block(path, **block):
        refused(server, "/v1/messages", f"MessagesRequest.messages.content.{path} of type", messages=[{"role": "user", "content": [block]}])
    wrong_block("type", type=5)
    wrong_block("text", type="text", text=5)
    wrong_block("thinking", type="thinking", thinking=5)
    wrong_block("source", type="image", source="x")
    wrong_block("source.data", type="document", source={"type": "text", "data": 5})
    wrong_block("title", type="search_result", title=5)
    wrong_block("content", type="search_result", content="x")
    wrong_block("tool_use_id", type="tool_result", tool_use_id=5)
    wrong_block("content", type="tool_result", tool_use_id="x", content=5)
    wrong_block("content.text", type="tool_result", tool_use_id="x", content=[{"type": "text", "text": 5}])
    for given in ("{}", []):
        wrong_block("input", type="tool_use", id="c1", name="weather", input=given)
    for path, fields in (("messages", {"messages": "x"}), ("thinking", {"thinking": "enabled"}), ("thinking", {"thinking": True}),
                         ("thinking.type", {"thinking": {"type": 5}}), ("output_config", {"output_config": "high"}),
                         ("output_config.effort", {"output_config": {"effort": 5}}), ("tools.name", {"tools": [{"name": 5}]}),
                         ("tools.input_schema", {"tools": [{"name": "x", "input_schema": "{}"}]}), ("tool_choice", {"tool_choice": "auto"}),
                         ("tool_choice.name", {"tool_choice": {"type": "tool", "name": 5}})):
        refused(server, "/v1/messages", f"MessagesRequest.{path} of type", **{"messages": HELLO, **fields})
    refused(server, "/v1/messages", "output_config.format.type", messages=HELLO, output_format=None, output_config={"format": {"type": "x"}})
    # Blocks that are empty, or of types that nobody knows, make no turn beside the result of a tool.
    turns[2]["content"] = [turns[2]["content"][0], {"type": "text", "text": ""}, {"type": "redacted_thinking", "data": "x"}]
    contains(RESULT_LINE + "ANSWER:", rendered(server, "/v1/messages", messages=turns))
    refused(server, "/v1/messages", "MessagesRequest.messages.role", messages=[{"role": 5, "content": "x"}])
    refused(server, "/v1/messages", "system", messages=HELLO, system=5)
    refused(server, "/v1/messages", "MessagesRequest.tools", messages=HELLO, tools={})


def ignored_fields_change_nothing(server):
    """Those of "x-ignored" in docs/openapi.yaml."""
    if CONTRACT.description is None:
        raise Skip("no python3-yaml")
    CONTRACT.test = None  # the other fields of these requests are looked at elsewhere
    mirror(server)
    embedder(server)
    bodies = {"ChatCompletionRequest": ("/v1/chat/completions", {"messages": HELLO}),
              "CompletionRequest": ("/v1/completions", {"prompt": "Hello"}),
              "OpenAiEmbeddingsRequest": ("/v1/embeddings", {"model": "embedder", "input": "Hello"}),
              "ResponsesRequest": ("/v1/responses", {"input": "Hello"}),
              "MessagesRequest": ("/v1/messages", {"messages": HELLO}),
              "CountTokensRequest": ("/v1/messages/count_tokens", {"messages": HELLO}),
              "GenerateRequest": ("/api/generate", {"prompt": "Hello"}), "ShowRequest": ("/api/show", {}),
              "Options": ("/api/generate", {})}
    for name, schema in CONTRACT.description["components"]["schemas"].items():
        ignored = schema.get("x-ignored")
        if not ignored:
            continue
        path, body = bodies[name]
        if name == "Options":
            equal(answer(server, temperature=0), answer(server, temperature=0, **ignored))
        elif path in ("/v1/embeddings", "/v1/messages/count_tokens", "/api/show"):
            plain, other = (server.post(path, {"model": "mirror", **body, **more}).json() for more in ({}, ignored))
            equal(plain, other, path)
        else:
            equal(rendered(server, path, **body), rendered(server, path, **body, **ignored), path)


def keep_alive_in_every_dialect(server):
    embedder(server)
    def minutes(model):
        expires = next(one["expires_at"] for one in server.request("GET", "/api/ps").json()["models"] if one["name"] == model + ":latest")
        left = datetime.datetime.fromisoformat(expires[:19] + "+00:00") - datetime.datetime.now(datetime.timezone.utc)
        return left.total_seconds() / 60
    hours = 2
    for path, body in (("/api/generate", {"prompt": "Hello", "stream": False}), ("/api/chat", {"messages": HELLO, "stream": False}),
                       ("/v1/chat/completions", {"messages": HELLO}), ("/v1/completions", {"prompt": "Hello"}),
                       ("/v1/responses", {"input": "Hello"}), ("/v1/messages", {"messages": HELLO, "max_tokens": 1}),
                       ("/api/embed", {"model": "embedder", "input": "x"}), ("/api/embeddings", {"model": "embedder", "prompt": "x"})):
        hours += 1
        body = {"model": "mini", "options": {"num_predict": 1}, **body}
        equal(200, server.post(path, {**body, "keep_alive": f"{hours}h"}).status)
        if not hours * 60 - 10 < minutes(body["model"]) <= hours * 60 + 1:
            raise AssertionError(f"{path}: {minutes(body['model'])} minutes, expected {hours} hours")


def limits_in_every_dialect(server):
    """options.num_predict is honoured beside each dialect's own fields."""
    few = {"model": "mini", "options": {"num_predict": 2, "temperature": 0, "grammar": ENDLESS}}
    equal(2, server.post("/api/generate", {**few, "prompt": "x", "stream": False}).json()["eval_count"])
    equal(2, server.post("/api/chat", {**few, "messages": HELLO, "stream": False}).json()["eval_count"])
    fraction = {**few, "options": {**few["options"], "num_predict": 2.9}}
    equal(2, server.post("/api/generate", {**fraction, "prompt": "x", "stream": False}).json()["eval_count"])
    for path, body in (("/v1/chat/completions", {"messages": HELLO}), ("/v1/completions", {"prompt": "x"})):
        equal(2, server.post(path, {**few, **body}).json()["usage"]["completion_tokens"])
    equal(2, server.post("/v1/responses", {**few, "input": "x"}).json()["usage"]["output_tokens"])
    # max_tokens is required there and wins.
    equal(3, server.post("/v1/messages", {**few, "messages": HELLO, "max_tokens": 3}).json()["usage"]["output_tokens"])


def answer(server, path="/api/generate", tokens=24, **options):
    reply = server.post(path, {"model": "mini", "prompt": "Tell me a story", "stream": False, "options": {
        "num_predict": tokens, "seed": 3, **options}})
    equal(200, reply.status, reply.body)
    reply = reply.json()
    return reply["context"][reply["prompt_eval_count"]:]


def options_that_narrow_the_choice(server):
    greedy = answer(server, temperature=0)
    hot = answer(server, temperature=3)
    if greedy == hot:
        raise AssertionError("the temperature changes nothing")
    for option in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1}):
        equal(greedy, answer(server, temperature=3, **option), str(option))
    if hot == answer(server, temperature=3, top_k=0, top_p=1):
        raise AssertionError("top_k and top_p change nothing")
    # The most typical token is one, whatever the seed.
    equal(*(answer(server, temperature=3, top_k=0, top_p=1, typical_p=1e-6, seed=seed) for seed in (1, 2)))
    equal(hot, answer(server, temperature=3, seed=3))
    if hot == answer(server, temperature=3, seed=4):
        raise AssertionError("the seed changes nothing")


def options_that_punish_repetition(server):
    """A token is made the likeliest by far, so that the answer is nothing else until it is punished."""
    word = server.post("/api/tokenize", {"model": "mini", "text": "the"}).json()["tokens"][-1]
    def times(**options):
        tokens = answer(server, temperature=0, logit_bias={str(word): 60, "<|im_end|>": False}, **options)
        equal(24, len(tokens))
        return tokens.count(word)
    equal(24, times())
    equal(1, times(presence_penalty=200))
    equal(1, times(repeat_penalty=1000))
    if not 1 < times(frequency_penalty=10) < 20:
        raise AssertionError(f"frequency_penalty: {times(frequency_penalty=10)} times")
    equal(24, times(presence_penalty=200, repeat_last_n=0))
    # Forgotten after four tokens, it comes again.
    if not 3 < times(presence_penalty=200, repeat_last_n=4) < 12:
        raise AssertionError(f"repeat_last_n: {times(presence_penalty=200, repeat_last_n=4)} times")
    equal(24, times(dry_multiplier=1, dry_base=1))
    if times(dry_multiplier=1, dry_base=4) == 24:
        raise AssertionError("dry_base changes nothing")
    equal(24, times(dry_multiplier=1, dry_base=4, dry_allowed_length=100))
    equal(24, times(dry_multiplier=1, dry_base=4, dry_penalty_last_n=2))
    equal(24, times(dry_multiplier=1, dry_base=4, dry_sequence_breakers=["the"]))


def num_keep_is_kept(server):
    """What is kept is not forgotten when the context is full."""
    def forgotten(keep):
        return server.post("/api/generate", {"model": "mini", "prompt": "Hello", "raw": True, "stream": False, "shift": True, "options": {
            "num_ctx": 64, "num_keep": keep, "num_predict": 70, "temperature": 0, "grammar": ENDLESS}}).json()["context_shifted_count"]
    if not forgotten(40) < forgotten(1):
        raise AssertionError(f"{forgotten(40)} tokens forgotten with 40 kept, {forgotten(1)} with one")


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\x80\x40\x20" * width for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def jpeg_head(width, height, orientation):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0) + b"\0\0\0\0"
    return (b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + b"\xff\xc0" +
            struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\x01\x11\0\x02\x11\0\x03\x11\0" + b"\xff\xd9")


def gif(width, height):
    return (b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + b"," +
            struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02D\x01\0;")


WEBP = base64.b64decode("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")

PICTURES = {"image/png": png(3, 2), "image/jpeg": jpeg_head(3, 2, 6), "image/gif": gif(1, 1), "image/webp": WEBP}
WRONG_PICTURES = [("none of png, jpeg, webp and gif", b"BM just a bitmap"), ("20000 x 3000", png(1, 1).replace(
    struct.pack(">II", 1, 1), struct.pack(">II", 20000, 3000), 1))] + [("the image is broken", data) for data in (
        png(3, 2)[:20], jpeg_head(3, 2, 1)[:12], gif(1, 1)[:8], WEBP[:18])]


def ask_with_picture(server, data, kind):
    """The error of each dialect."""
    text = base64.b64encode(data).decode()
    url = f"data:{kind};base64,{text}"
    source = {"type": "base64", "media_type": kind, "data": text}
    image = {"type": "image", "source": source}
    for path, body in (
            ("/api/generate", {"prompt": "What is it?", "images": [text]}), ("/api/generate", {"prompt": "What is it?", "images": [url]}),
            ("/api/chat", {"messages": [{"role": "user", "content": "What is it?", "images": [text]}]}),
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}),
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]}),
            ("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]}),
            ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": [image]}]})):
        reply = server.post(path, {"model": "mini", **body})
        equal(400, reply.status, reply.body)
        error = reply.json()["error"]
        yield path, error if isinstance(error, str) else error["message"]


def pictures_in_every_dialect(server):
    for kind, data in PICTURES.items():
        for path, error in ask_with_picture(server, data, kind):
            equal('"mini" does not support images: it has no vision', error, f"{kind} {path}")


def wrong_pictures_in_every_dialect(server):
    for words, data in WRONG_PICTURES:
        for path, error in ask_with_picture(server, data, "image/png"):
            contains(words, error)


def pictures_that_tools_return(server):
    mirror(server)
    data = base64.b64encode(PICTURES["image/png"]).decode()
    url = "data:image/png;base64," + data
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    named = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    for path, fields in (
            ("/api/chat", {"messages": HELLO + [{"role": "tool", "content": "", "images": [data, data]}]}),
            ("/v1/chat/completions", {"messages": HELLO + [{"role": "assistant", "tool_calls": [named]}, {"role": "tool", "tool_call_id": "c1", "content": [
                {"type": "text", "text": "a.png"}, {"type": "image_url", "image_url": url}]}]}),
            ("/v1/responses", {"input": [{"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{}"}, {
                "type": "function_call_output", "call_id": "c1", "output": [{"type": "input_image", "image_url": url}]}]}),
            ("/v1/messages", {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "read", "input": {}}]}, {
                "role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [image]}]}]})):
        wanted = {"/api/chat": "|[2 pictures, ", "/v1/chat/completions": "|a.png\n[a picture, "}.get(path, "|[a picture, ")
        contains("[tool" + wanted + "which this model cannot see]|", rendered(server, path, **fields))
    reply = server.post("/v1/messages/count_tokens", {"model": "mirror", **fields})
    equal(200, reply.status, reply.body)


def tags_say_what_a_model_can(server):
    mirror(server)
    embedder(server)
    models = {one["name"]: one for one in server.request("GET", "/api/tags").json()["models"]}
    equal(["completion"], models["mini:latest"]["capabilities"])
    equal(["completion", "tools", "thinking"], models["mirror:latest"]["capabilities"])
    equal(["embedding"], models["embedder:latest"]["capabilities"])
    info = server.post("/api/show", {"model": "mini"}).json()
    for where in (models["mini:latest"], info):
        equal((info["model_info"]["llama.context_length"], info["model_info"]["llama.embedding_length"]),
              (where["details"]["context_length"], where["details"]["embedding_length"]))


def a_projector_is_shown(server):
    def upload(data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        server.request("POST", f"/api/blobs/{digest}", data)
        return digest
    path = server.folder / "projector.gguf"
    GgufFile({"general.architecture": (STRING, "clip"), "clip.vision.block_count": (UINT32, 2)},
             {"v.patch_embd.weight": ([4], F32, struct.pack("<4f", 1, 2, 3, 4))}).write(path)
    files = {"m.gguf": upload((ROOT / "models" / "mini.gguf").read_bytes()), "p.gguf": upload(path.read_bytes())}
    equal("success", server.post("/api/create", {"model": "seeing", "files": files, "stream": False}).json()["status"])
    shown = server.post("/api/show", {"model": "seeing"}).json()["projector_info"]
    equal((2, 4), (shown["clip.vision.block_count"], shown["general.parameter_count"]))


def info_of_create(server):
    info = {"capabilities": ["tools", "vision"], "model_family": "mine", "base_name": "base", "quantization_level": "Q9", "parameter_size": "9B",
            "context_length": 77, "embedding_length": 33}
    equal("success", server.post("/api/create", {"model": "informed", "from": "mini", "info": info, "stream": False}).json()["status"])
    shown = server.post("/api/show", {"model": "informed"}).json()
    # What this version cannot do is not promised.
    equal(["completion", "tools"], shown["capabilities"])
    equal({"parent_model": shown["details"]["parent_model"], "format": "gguf", "family": "mine", "families": ["mine"], "parameter_size": "9B",
           "quantization_level": "Q9", "context_length": 77, "embedding_length": 33}, shown["details"])
    manifest = json.loads(next((server.folder / "models" / "manifests").glob("*/library/informed/latest")).read_text())
    config = (server.folder / "models" / "blobs" / manifest["config"]["digest"].replace(":", "-")).read_text()
    equal("base", json.loads(config)["base_name"])
    for wrong, words in (({"model_family": 5}, 'info field "model_family" must be a string'),
                         ({"context_length": "x"}, 'info field "context_length" must be a number'),
                         ({"embedding_length": -1}, 'info field "embedding_length" must be a non-negative integer'),
                         ({"capabilities": [5]}, 'info field "capabilities" must be a list of strings')):
        reply = server.post("/api/create", {"model": "informed", "from": "mini", "info": wrong})
        equal((400, {"error": words}), (reply.status, reply.json()))


def fields_of_create(server):
    calls = [{"id": f"c{i + 1}", "function": {"index": i, "name": "weather", "arguments": arguments}}
             for i, arguments in enumerate(({"city": "Oslo"}, {}))]
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Let me see.", "thinking": "Where?", "tool_calls": calls},
             {"role": "tool", "content": "sunny", "tool_name": "weather", "tool_call_id": "c1"}, {"role": "assistant", "content": "Yes?"}]
    equal("success", server.post("/api/create", {"model": "made", "from": "mini", "template": MIRROR, "system": "Be kind.", "messages": turns,
                                                 "parameters": {"num_predict": 2, "stop": ["x"]}, "stream": False}).json()["status"])
    text = rendered(server, "/api/chat", model="made", messages=HELLO)
    for line in ("[system|Be kind.|", "[user|Hi|", CALL_LINE + RESULT_LINE, "[assistant|Yes?|", "[user|Hello|"):
        contains(line, text)
    shown = server.post("/api/show", {"model": "made", "options": {"num_predict": 9, "top_k": 3}}).json()
    equal(turns, shown["messages"])
    equal({"num_predict": "2", "stop": '"x"'}, dict(line.split() for line in shown["parameters"].splitlines()))
    equal(["num_predict 9", "stop x", "top_k 3"],
          [line.removeprefix("PARAMETER ") for line in shown["modelfile"].splitlines() if line.startswith("PARAMETER")])
    reply = server.post("/api/create", {"model": "made", "from": "mini", "messages": [{"role": 5}]})
    equal(400, reply.status)
    contains("CreateRequest.messages.role of type string", reply.json()["error"])
    # What is empty is that of the base, whose name the new one tells.
    server.post("/api/create", {"model": "heir", "from": "made", "template": "", "system": "", "messages": []}).lines()
    equal(text, rendered(server, "/api/chat", model="heir", messages=HELLO))
    equal("made:latest", server.post("/api/show", {"model": "heir"}).json()["details"]["parent_model"])
    pixel = base64.b64encode(png(1, 1)).decode()
    server.post("/api/create", {"model": "heir", "from": "made", "messages": [{"role": "user", "content": "Look", "images": [pixel]}]}).lines()
    equal([pixel], server.post("/api/show", {"model": "heir"}).json()["messages"][0]["images"])
    refused(server, "/api/chat", "does not support images", model="heir", messages=HELLO)
    contains("field ShowRequest.options", server.post("/api/show", {"model": "made", "options": 5}).json()["error"])


def a_model_at_another_host(server):
    """A manifest that Ollama writes for a model of its cloud: it is listed and shown, and says why it does not run."""
    def blob(data):
        digest = server.request("POST", "/api/blobs/sha256:" + "0" * 64, data).json()["error"].split('"')[-2]
        equal(201, server.request("POST", f"/api/blobs/{digest}", data).status)
        return digest
    config = json.dumps({"model_format": "", "model_family": "gptoss", "remote_host": "https://ollama.com:443", "remote_model": "gpt-oss:120b",
                         "capabilities": ["completion", "tools"], "context_length": 131072}).encode()
    digest = blob(config)
    folder = server.folder / "models" / "manifests" / "registry.ollama.ai" / "library" / "far"
    folder.mkdir(parents=True)
    (folder / "latest").write_text(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": [],
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest, "size": len(config)}}))
    listed = [next(one for one in server.request("GET", path).json()["models"] if one["name"] == "far:latest")
              for path in ("/api/tags", "/api/list")]
    shown = server.post("/api/show", {"model": "far"}).json()
    for said in (*listed, shown):
        equal(("gpt-oss:120b", "https://ollama.com:443", ["completion", "tools"], 131072),
              (said["remote_model"], said["remote_host"], said["capabilities"], said["details"]["context_length"]))
    reply = server.post("/api/chat", {"model": "far", "messages": HELLO})
    equal(403, reply.status, reply.body)
    contains("ollama cloud is disabled", reply.json()["error"])


CONTRACT.unproven = {"stream", "raw"}  # used here, looked at elsewhere


if __name__ == "__main__":
    main((Server, (native_messages, tools_reach_the_template_whole, tool_choice_chooses_tools, thinking_is_asked_for,
                   chat_completions_messages, responses_items, tools_of_a_namespace_have_one_name_for_the_model, responses_truncation, responses_stream_calls_and_logprobs, responses_repeat_the_request, messages_blocks, results_are_named_after_the_last_call,
                   keep_alive_in_every_dialect, limits_in_every_dialect,
                   options_that_narrow_the_choice, options_that_punish_repetition, num_keep_is_kept, pictures_in_every_dialect,
                   wrong_pictures_in_every_dialect, pictures_that_tools_return, tags_say_what_a_model_can, a_projector_is_shown, info_of_create, fields_of_create,
                   a_model_at_another_host, ignored_fields_change_nothing)))
