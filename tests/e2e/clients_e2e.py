#!/usr/bin/env python3
"""The clients that people use, unmodified, from npm, against a real server (tests/clients/*.mjs)."""
import argparse
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from puna_server import ROOT, TOOL_TEMPLATE, Server  # noqa: E402

CLIENTS = ROOT / "tests" / "clients"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    scripts = ["ollama.mjs", "openai.mjs", "anthropic.mjs"]
    why = None if shutil.which("node") else "no node"
    if why is None and not (CLIENTS / "node_modules").exists():
        why = "no packages: run npm ci in tests/clients"
    if why:
        for script in scripts:
            print(f"skip {script}: {why}")
        return
    code = 0
    with Server(options.build) as server:
        server.post("/api/create", {"model": "tooled", "from": "mini", "template": TOOL_TEMPLATE})
        for script in scripts:
            done = subprocess.run(["node", str(CLIENTS / script), f"http://127.0.0.1:{server.port}"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
            print(done.stdout.decode(errors="replace"), end="", flush=True)
            code = code or done.returncode
        if code:
            print(server.log_text())
    sys.exit(code)


if __name__ == "__main__":
    main()
