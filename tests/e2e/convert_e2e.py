#!/usr/bin/env python3
"""Models that become other models: quantized files, and installed models with other types."""
import hashlib
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from gguf_file import F32, GgufFile  # noqa: E402
from puna_server import ROOT, Server, contains, equal, main  # noqa: E402

MINI = ROOT / "models" / "mini.gguf"
GREEDY = {"temperature": 0, "num_predict": 24}
F16 = 1


def upload(server, path):
    data = path.read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    contains(server.request("POST", f"/api/blobs/{digest}", data).status, (200, 201))
    return digest


def puna(server, *args):
    code, out, problem = server.run(*[str(arg) for arg in args])
    equal(0, code, problem)
    return out


def refusal(server, *args):
    code, _, problem = server.run(*[str(arg) for arg in args])
    equal(1, code)
    return problem


def ask(server, model):
    reply = server.post("/api/generate", {"model": model, "prompt": "Tell me a story", "stream": False, "options": GREEDY})
    equal(200, reply.status, reply.body)
    return reply.json()["response"]


def float_mini(server):
    """The bundled model with float weights: what a converter of a training framework would give."""
    path = server.folder / "mini-f16.gguf"
    if not path.exists():
        puna(server, "quantize", MINI, path, "f16", "--allow-requantize")
    return path


def tensor_types(server, path):
    """As puna reads them back; GgufFile knows only few types."""
    lines = puna(server, "quantize", path, "-", "F32", "--allow-requantize", "--dry-run").splitlines()
    return {line.split("\t")[0]: line.split("\t")[2] for line in lines}


def quantize_files(server):
    source = float_mini(server)
    equal(F16, GgufFile.read(source).tensors["blk.0.attn_q.weight"][1])
    equal(F32, GgufFile.read(source).tensors["output_norm.weight"][1])
    out = server.folder / "mini-q4.gguf"
    contains("Q4_K_M", puna(server, "quantize", source, out, "q4_k_m", "--threads", 2))
    types = tensor_types(server, out)
    # Of four layers the last, and the third as every third.
    equal(["Q4_K", "Q4_K", "Q6_K", "Q6_K"], [types[f"blk.{i}.ffn_down.weight"] for i in range(4)])
    equal(("Q6_K", "Q4_K", "F32"), tuple(types[name] for name in
                                         ("token_embd.weight", "blk.0.attn_q.weight", "output_norm.weight")))
    # One thread or many: the same bytes.
    puna(server, "quantize", source, server.folder / "again.gguf", "Q4_K_M", "-t", 1)
    equal(out.read_bytes(), (server.folder / "again.gguf").read_bytes())
    contains("is only supported for F16, BF16 and F32", refusal(server, "quantize", MINI, server.folder / "x", "Q4_0"))
    contains("supported types are F32, F16", refusal(server, "quantize", source, server.folder / "x", "Q9"))
    contains("same file", refusal(server, "quantize", source, source, "Q8_0"))
    contains("nowhere", refusal(server, "quantize", server.folder / "nowhere", server.folder / "x", "Q8_0"))
    equal([], [path.name for path in server.folder.glob(".*.tmp-*")], "nothing is left of what failed")


def interrupted(server):
    """Neither a killed nor an interrupted run leaves half a file under the name that was asked for."""
    big = server.folder / "big.gguf"
    puna(server, "synth", big, "--shape", "qwen3-0.6b", "--type", "Q4_0")
    for how in (signal.SIGINT, signal.SIGKILL):
        out = server.folder / "interrupted.gguf"
        process = subprocess.Popen([server.puna, "quantize", str(big), str(out), "Q6_K", "--allow-requantize"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while time.monotonic() < until and not list(server.folder.glob(".interrupted.gguf.tmp-*")):
            time.sleep(0.02)
        process.send_signal(how)
        if process.wait(30) == 0:
            raise AssertionError("it was not interrupted")
        equal(False, out.exists())
        left = list(server.folder.glob(".interrupted.gguf.tmp-*"))
        if how == signal.SIGINT:
            equal([], left)
        for path in left:
            path.unlink()
    big.unlink()


def create_with_quantize(server):
    digest = upload(server, float_mini(server))
    lines = server.post("/api/create", {"model": "small", "files": {"mini.gguf": digest}, "quantize": "q4_K_m",
                                        "system": "Be brief."}).lines()
    equal({"status": "success"}, lines[-1])
    bars = [line for line in lines if line["status"] == "quantizing F16 model to Q4_K_M"]
    equal(bars[-1]["total"], bars[-1]["completed"])
    if not any(line["status"].startswith("creating new layer sha256:") for line in lines):
        raise AssertionError(lines)
    shown = server.post("/api/show", {"model": "small"}).json()
    equal(("Q4_K_M", "Be brief."), (shown["details"]["quantization_level"], shown["system"]))
    if not ask(server, "small").strip():
        raise AssertionError("no answer")
    equal([], list((server.folder / "models" / "blobs").glob(".*")), "temporary files")

    # From an installed model; its other layers stay.
    server.post("/api/create", {"model": "wide", "files": {"mini.gguf": digest}, "template": "{{ .Prompt }}"}).lines()
    equal({"status": "success"},
          server.post("/api/create", {"model": "eight", "from": "wide", "quantize": "Q8_0", "stream": False}).json())
    shown = server.post("/api/show", {"model": "eight"}).json()
    equal(("Q8_0", "{{ .Prompt }}"), (shown["details"]["quantization_level"], shown["template"]))
    (server.folder / "Modelfile").write_text("FROM ./mini-f16.gguf\n")
    puna(server, "create", "-q", "Q5_K_S", "five", "-f", server.folder / "Modelfile")
    contains("Q5_K_S", puna(server, "show", "five"))

    def problem(**fields):
        reply = server.post("/api/create", dict({"model": "x", "stream": False}, **fields))
        equal(400, reply.status, reply.body)
        return reply.json()["error"]

    contains("unsupported quantization type Q9", problem(**{"from": "wide", "quantize": "Q9"}))
    contains("is only supported for F16, BF16 and F32", problem(**{"from": "mini", "quantize": "Q4_K_M"}))


if __name__ == "__main__":
    main((Server, (quantize_files, interrupted, create_with_quantize)))
