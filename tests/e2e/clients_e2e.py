#!/usr/bin/env python3
"""The clients that people use, unmodified, from npm, against a real server (tests/clients/*.mjs)."""
import contextlib
import re
import shutil
import subprocess

from api_contract import CONTRACT
from openai_e2e import embedder
from puna_server import ENDLESS, ROOT, TOOL_TEMPLATE, Server, Skip, main

CLIENTS = ROOT / "tests" / "clients"


@contextlib.contextmanager
def tooled_server(build):
    if not shutil.which("node"):
        raise Skip("no node")
    if not (CLIENTS / "node_modules").exists():
        raise Skip("no packages: run npm ci in tests/clients")
    with Server(build) as server:
        server.post("/api/create", {"model": "tooled", "from": "mini", "template": TOOL_TEMPLATE})
        # What a client breaks off must not end first by chance.
        server.post("/api/create", {"model": "endless", "from": "mini", "parameters": {"grammar": ENDLESS}})
        embedder(server)
        yield server


def run_client(server, script):
    """The script's own lines say more than one line could."""
    done = subprocess.run(["node", str(CLIENTS / script), f"http://127.0.0.1:{server.port}"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=600, check=False)
    print(done.stdout.decode(errors="replace"), end="", flush=True)
    if done.returncode:
        raise AssertionError(f"{script} ended with {done.returncode}")


def fields_of(file, interface):
    """The fields of an interface in TypeScript's declarations."""
    text = re.sub(r"/\*.*?\*/", "", (CLIENTS / "node_modules" / file).read_text(), flags=re.S)
    begin = re.search(rf"interface {interface}\b[^{{]*{{\n", text).end()
    return set(re.findall(r"^    (\w+)\??:", text[begin:text.index("\n}", begin)], flags=re.M))


def every_field_of_the_clients_is_known(_):
    """What a client can send is honoured, refused or ignored on purpose, and docs/openapi.yaml says which."""
    if CONTRACT.description is None:
        raise Skip("no python3-yaml")
    openai, anthropic = "openai/resources/", "@anthropic-ai/sdk/resources/messages/messages.d.ts"
    for schema, file, interface in (
            ("ChatCompletionRequest", openai + "chat/completions/completions.d.ts", "ChatCompletionCreateParamsBase"),
            ("CompletionRequest", openai + "completions.d.ts", "CompletionCreateParamsBase"),
            ("OpenAiEmbeddingsRequest", openai + "embeddings.d.ts", "EmbeddingCreateParams"),
            ("ResponsesRequest", openai + "responses/responses.d.ts", "ResponseCreateParamsBase"),
            ("MessagesRequest", anthropic, "MessageCreateParamsBase"), ("CountTokensRequest", anthropic, "MessageCountTokensParams"),
            ("ChatRequest", "ollama/dist/browser.d.ts", "ChatRequest"),
            ("GenerateRequest", "ollama/dist/browser.d.ts", "GenerateRequest"),
            ("Options", "ollama/dist/browser.d.ts", "Options")):
        known = CONTRACT.description["components"]["schemas"][schema]
        fields = fields_of(file, interface)
        if not fields:
            raise AssertionError(f"{interface} has no fields")
        missing = fields - set(known["properties"]) - set(known.get("x-ignored", {}))
        if missing:
            raise AssertionError(f"{schema} says nothing of {sorted(missing)}")


def ollama_client(server):
    run_client(server, "ollama.mjs")


def openai_client(server):
    run_client(server, "openai.mjs")


def anthropic_client(server):
    run_client(server, "anthropic.mjs")


if __name__ == "__main__":
    main((tooled_server, (every_field_of_the_clients_is_known, ollama_client, openai_client, anthropic_client)))
