#!/usr/bin/env python3
"""The clients that people use, unmodified, from npm, against a real server (tests/clients/*.mjs)."""
import contextlib
import shutil
import subprocess

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
        yield server


def run_client(server, script):
    """The script's own lines say more than one line could."""
    done = subprocess.run(["node", str(CLIENTS / script), f"http://127.0.0.1:{server.port}"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=600, check=False)
    print(done.stdout.decode(errors="replace"), end="", flush=True)
    if done.returncode:
        raise AssertionError(f"{script} ended with {done.returncode}")


def ollama_client(server):
    run_client(server, "ollama.mjs")


def openai_client(server):
    run_client(server, "openai.mjs")


def anthropic_client(server):
    run_client(server, "anthropic.mjs")


if __name__ == "__main__":
    main((tooled_server, (ollama_client, openai_client, anthropic_client)))
