#!/usr/bin/env python3
"""What the reference's documentation tells people to type: curl, mostly without a Content-Type, against a real server.

The commands are run by a shell as they stand, with the address of the test's server; `llama3.2` is the bundled model.
"""
import contextlib
import json
import shutil
import subprocess

from puna_server import Server, Skip, contains, equal, main

TOOLS = """[{"type": "function", "function": {"name": "get_current_weather", "description": "the weather of a place",
  "parameters": {"type": "object", "properties": {"location": {"type": "string"},
  "format": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, "required": ["location", "format"]}}}]"""
STATS = ["total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"]


@contextlib.contextmanager
def server_with_llama(build):
    if shutil.which("curl") is None:
        raise Skip("there is no curl")
    with Server(build) as server:
        server.post("/api/copy", {"source": "mini", "destination": "llama3.2"})
        yield server


def curl(server, command, standard_input=None):
    """Runs `curl <command>` and returns what it printed; {H} is the address."""
    line = "curl -sS --max-time 100 " + command.replace("{H}", f"http://127.0.0.1:{server.port}")
    done = subprocess.run(["bash", "-c", line], input=standard_input, capture_output=True, cwd=server.folder, check=False)
    equal(0, done.returncode, f"{line}: {done.stderr.decode()}")
    return done.stdout.decode()


def object_of(server, command):
    return json.loads(curl(server, command))


def lines_of(server, command):
    return [json.loads(line) for line in curl(server, command).splitlines()]


def data_of(output):
    return [line.removeprefix("data: ") for line in output.splitlines() if line.startswith("data: ")]


def generate_streams(server):
    lines = lines_of(server, """{H}/api/generate -d '{"model": "llama3.2", "prompt": "Why is the sky blue?"}'""")
    for line in lines[:-1]:
        equal({"model", "created_at", "response", "done"}, set(line))
        equal(("llama3.2", False), (line["model"], line["done"]))
    last = lines[-1]
    equal((True, "stop", ""), (last["done"], last["done_reason"], last["response"]))
    for field in [*STATS, "context"]:
        contains(field, last)


def generate_whole(server):
    answer = object_of(server, """{H}/api/generate -d '{
  "model": "llama3.2",
  "prompt": "Why is the sky blue?",
  "stream": false
}'""")
    equal(True, bool(answer["response"]) and answer["done"])
    equal([], [field for field in STATS if not isinstance(answer[field], int)])


def generate_with_suffix(server):
    answer = object_of(server, """{H}/api/generate -d '{"model": "llama3.2", "prompt": "def compute_gcd(a, b):",
  "suffix": "    return result", "options": {"temperature": 0}, "stream": false}'""")
    contains("does not support insert", answer["error"])


def generate_structured(server):
    answer = object_of(server, """-X POST {H}/api/generate -H "Content-Type: application/json" -d '{
  "model": "llama3.2", "prompt": "Ollama is 22 years old and is busy saving the world. Respond using JSON", "stream": false,
  "format": {"type": "object", "properties": {"age": {"type": "integer"}, "available": {"type": "boolean"}},
             "required": ["age", "available"]}, "options": {"num_predict": 200, "temperature": 0}}'""")
    value = json.loads(answer["response"])
    equal(({"age", "available"}, True, True),
          (set(value), isinstance(value["age"], int), isinstance(value["available"], bool)))


def generate_json_mode(server):
    answer = object_of(server, """{H}/api/generate -d '{"model": "llama3.2", "prompt": "What color is the sky? Respond using JSON",
  "format": "json", "stream": false, "options": {"num_predict": 300, "temperature": 0, "seed": 1}}'""")
    if answer["done_reason"] == "stop":
        json.loads(answer["response"])
    contains("{", answer["response"])


def generate_raw_and_repeatable(server):
    command = """{H}/api/generate -d '{"model": "llama3.2", "prompt": "[INST] why is the sky blue? [/INST]",
  "raw": true, "stream": false, "options": {"seed": 123, "num_predict": 20}}'"""
    first, second = object_of(server, command), object_of(server, command)
    equal(first["response"], second["response"], "the same seed")
    equal(20, first["eval_count"])
    equal(False, "context" in first)


def generate_with_all_options(server):
    answer = object_of(server, """{H}/api/generate -d '{"model": "llama3.2", "prompt": "Why is the sky blue?", "stream": false,
  "options": {"num_keep": 5, "seed": 42, "num_predict": 10, "top_k": 20, "top_p": 0.9, "min_p": 0.0, "typical_p": 0.7,
    "repeat_last_n": 33, "temperature": 0.8, "repeat_penalty": 1.2, "presence_penalty": 1.5, "frequency_penalty": 1.0,
    "penalize_newline": true, "stop": ["\\n", "user:"], "numa": false, "num_ctx": 1024, "num_batch": 2, "num_gpu": 1,
    "main_gpu": 0, "use_mmap": true, "num_thread": 8}}'""")
    equal(True, answer["done"] and answer["eval_count"] <= 10)


def pictures_need_a_model_that_sees(server):
    answer = object_of(server, """{H}/api/generate -d '{"model": "llama3.2", "prompt": "What is in this picture?",
  "stream": false, "images": ["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="]}'""")
    contains("error", answer)


def load_and_unload(server):
    loaded = object_of(server, """{H}/api/generate -d '{"model": "llama3.2"}'""")
    equal(("", True, "load"), (loaded["response"], loaded["done"], loaded["done_reason"]))
    object_of(server, """{H}/api/generate -d '{"model": "llama3.2", "keep_alive": -1}'""")
    running = object_of(server, "{H}/api/ps")["models"][0]
    equal("llama3.2:latest", running["name"])
    for field in ("model", "size", "digest", "details", "expires_at", "size_vram"):
        contains(field, running)
    unloaded = object_of(server, """{H}/api/generate -d '{"model": "llama3.2", "keep_alive": 0}'""")
    equal("unload", unloaded["done_reason"])
    loaded = object_of(server, """{H}/api/chat -d '{"model": "llama3.2", "messages": []}'""")
    equal(({"role": "assistant", "content": ""}, "load"), (loaded["message"], loaded["done_reason"]))
    unloaded = object_of(server, """{H}/api/chat -d '{"model": "llama3.2", "messages": [], "keep_alive": 0}'""")
    equal("unload", unloaded["done_reason"])


def chat_streams_with_history(server):
    lines = lines_of(server, """{H}/api/chat -d '{"model": "llama3.2", "messages": [
  {"role": "user", "content": "why is the sky blue?"},
  {"role": "assistant", "content": "due to rayleigh scattering."},
  {"role": "user", "content": "how is that different than mie scattering?"}]}'""")
    equal({"assistant"}, {line["message"]["role"] for line in lines})
    equal("", lines[-1]["message"]["content"])
    equal([], [field for field in STATS if field not in lines[-1]])


def chat_whole_and_structured(server):
    answer = object_of(server, """-X POST {H}/api/chat -H "Content-Type: application/json" -d '{"model": "llama3.2",
  "messages": [{"role": "user", "content": "Tell me about Canada."}], "stream": false, "options": {"num_predict": 400},
  "format": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20},
    "languages": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 20}}},
    "required": ["name", "languages"]}}'""")
    equal({"name", "languages"}, set(json.loads(answer["message"]["content"])))


def chat_with_tools(server):
    answer = object_of(server, """{H}/api/chat -d '{"model": "llama3.2", "stream": false, "tools": %s,
  "messages": [{"role": "user", "content": "What is the weather today in Paris?"}]}'""" % TOOLS)
    contains("does not support tools", answer["error"])
    with_tools = {"model": "tooled", "from": "mini", "template": "{{ if .Tools }}{{ .Tools }}{{ end }}{{ range .Messages }}"
                  "{{ .Content }}{{ range .ToolCalls }}<tool_call>{{ .Function }}</tool_call>{{ end }}{{ end }}"}
    curl(server, "{H}/api/create -d '%s'" % json.dumps(with_tools))
    answer = object_of(server, """{H}/api/chat -d '{"model": "tooled", "stream": false, "tools": %s,
  "options": {"num_predict": 20}, "messages": [{"role": "user", "content": "What is the weather today in Paris?"},
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "get_current_weather",
      "arguments": {"location": "Paris", "format": "celsius"}}}]},
    {"role": "tool", "tool_name": "get_current_weather", "content": "22 degrees"}]}'""" % TOOLS)
    equal("assistant", answer["message"]["role"])


def models_are_managed(server):
    status = [line["status"] for line in lines_of(server, """{H}/api/create -d '{
  "model": "mario", "from": "llama3.2", "system": "You are Mario from Super Mario Bros."}'""")]
    equal(("writing manifest", "success"), (status[-2], status[-1]))
    shown = object_of(server, """{H}/api/show -d '{"model": "mario"}'""")
    contains("SYSTEM", shown["modelfile"])
    for field in ("template", "system", "details", "model_info", "capabilities"):
        contains(field, shown)
    names = [model["name"] for model in object_of(server, "{H}/api/tags")["models"]]
    equal(True, {"mario:latest", "llama3.2:latest"} <= set(names))
    equal("200", curl(server, """-o /dev/null -w '%{http_code}' {H}/api/copy -d '{"source": "mario",
  "destination": "mario-backup"}'"""))
    for model in ("mario", "mario-backup"):
        equal("200", curl(server, """-o /dev/null -w '%%{http_code}' -X DELETE {H}/api/delete -d '{"model": "%s"}'""" % model))
    contains("not found", object_of(server, """-X DELETE {H}/api/delete -d '{"model": "mario"}'""")["error"])


def blobs_are_uploaded(server):
    digest = subprocess.run(["sha256sum"], input=b"a blob", capture_output=True, check=True).stdout.decode().split()[0]
    status = "-o /dev/null -w '%{http_code}' "
    equal("404", curl(server, status + f"-I {{H}}/api/blobs/sha256:{digest}"))
    (server.folder / "model.gguf").write_bytes(b"a blob")
    equal("201", curl(server, status + f"-T model.gguf -X POST {{H}}/api/blobs/sha256:{digest}"))
    equal("200", curl(server, status + f"-I {{H}}/api/blobs/sha256:{digest}"))
    wrong = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    equal("400", curl(server, status + f"-T model.gguf -X POST {{H}}/api/blobs/sha256:{wrong}"))


def pull_and_push_tell_their_errors(server):
    contains("error", lines_of(server, """{H}/api/pull -d '{"model": "127.0.0.1:1/library/none", "insecure": true}'""")[-1])
    contains("error", lines_of(server, """{H}/api/push -d '{"model": "127.0.0.1:1/me/none:latest", "insecure": true}'""")[-1])


def embeddings_need_a_model_for_them(server):
    for body in ('"input": "Why is the sky blue?"', '"input": ["Why is the sky blue?", "Why is the grass green?"]'):
        answer = object_of(server, """{H}/api/embed -d '{"model": "llama3.2", %s}'""" % body)
        contains("does not support embeddings", answer["error"])
    answer = object_of(server, """{H}/api/embeddings -d '{"model": "llama3.2", "prompt": "Here is an article about llamas..."}'""")
    contains("does not support embeddings", answer["error"])


def version(server):
    contains("version", object_of(server, "{H}/api/version"))
    equal("Ollama is running", curl(server, "{H}/"))


def openai_clients(server):
    answer = object_of(server, """-X POST {H}/v1/chat/completions -H "Content-Type: application/json" \\
  -H "Authorization: Bearer ollama" -d '{"model": "llama3.2", "messages": [
    {"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Hello!"}]}'""")
    equal(("chat.completion", "assistant"), (answer["object"], answer["choices"][0]["message"]["role"]))
    data = data_of(curl(server, """-N {H}/v1/chat/completions -H "Content-Type: application/json" -d '{"model": "llama3.2",
  "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'"""))
    equal("[DONE]", data[-1])
    response = object_of(server, """-X POST {H}/v1/responses -H "Content-Type: application/json" -d '{
  "model": "llama3.2", "input": "Write a short poem about the color blue"}'""")
    equal(("response", "completed"), (response["object"], response["status"]))
    contains("llama3.2:latest", [model["id"] for model in object_of(server, "{H}/v1/models")["data"]])


def anthropic_clients(server):
    head = """-X POST {H}/v1/messages -H "Content-Type: application/json" -H "x-api-key: ollama" \\
  -H "anthropic-version: 2023-06-01" """
    answer = object_of(server, head + """-d '{"model": "llama3.2", "max_tokens": 64,
  "messages": [{"role": "user", "content": "Hello, how are you?"}]}'""")
    equal(("message", "text"), (answer["type"], answer["content"][0]["type"]))
    events = [json.loads(data)["type"] for data in data_of(curl(server, head + """-d '{"model": "llama3.2", "stream": true,
  "max_tokens": 64, "messages": [{"role": "user", "content": "Count from 1 to 10"}]}'"""))]
    equal(("message_start", "message_stop"), (events[0], events[-1]))


if __name__ == "__main__":
    main((server_with_llama, (generate_streams, generate_whole, generate_with_suffix, generate_structured,
                              generate_json_mode, generate_raw_and_repeatable, generate_with_all_options,
                              pictures_need_a_model_that_sees, load_and_unload, chat_streams_with_history,
                              chat_whole_and_structured, chat_with_tools, models_are_managed, blobs_are_uploaded,
                              pull_and_push_tell_their_errors, embeddings_need_a_model_for_them, version,
                              openai_clients, anthropic_clients)))
