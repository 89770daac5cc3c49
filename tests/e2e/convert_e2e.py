#!/usr/bin/env python3
"""Models that become other models: quantized files, and installed models with other types."""
import array
import hashlib
import json
import math
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import hf_checkpoint as hf  # noqa: E402
from gguf_file import F32, FLOAT32, STRING, GgufFile  # noqa: E402
from puna_server import ROOT, Server, Skip, contains, equal, main, shared_path  # noqa: E402

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
    absent = server.folder / "no" / "such"
    for arguments in (("quantize", source, absent / "x.gguf", "Q8_0"), ("imatrix", source, MINI, "-o", absent / "x"),
                      ("synth", absent / "x.gguf", "--shape", "llama-1b")):
        contains(f"there is no folder {absent}", refusal(server, *arguments))
    equal(False, absent.parent.exists(), "it is not made")

    # An output in the place of an input, or of a folder, is told before the work.
    write_parts(GgufFile.read(source), server.folder, "input")
    first, second, text = *(server.folder / f"input-0000{i}-of-00003.gguf" for i in (1, 2)), server.folder / "input.txt"
    text.write_bytes((ROOT / "README.md").read_bytes())
    matrix, tokens = server.folder / "input-matrix.gguf", server.folder / "input-tokens"
    puna(server, "imatrix", source, text, "-o", matrix, "--ctx", 64, "--windows", 1)
    tokens.write_text("1 2 3")
    before = {path: path.read_bytes() for path in (first, second, text, matrix, tokens, source)}
    for arguments in (("quantize", first, second, "Q8_0"), ("quantize", "--imatrix", matrix, source, matrix, "Q4_0"),
                      ("imatrix", source, text, "-o", source), ("imatrix", first, text, "-o", second), ("imatrix", source, text, "-o", text),
                      ("synth", source, "--shape", "llama-1b", "--vocabulary", source),
                      ("eval", "logits", source, "--tokens-file", tokens, "--out", tokens)):
        contains("are the same file", refusal(server, *arguments))
    contains("is not a regular file", refusal(server, "imatrix", source, text, "-o", server.folder))
    for path, content in before.items():
        equal(True, path.read_bytes() == content, path)
        if path != source:
            path.unlink()
    (server.folder / "input-00003-of-00003.gguf").unlink()
    equal([], [path.name for path in server.folder.glob(".*.tmp-*")], "nothing is left of what failed")


def answers_in_words(server):
    """A made-up model with a real vocabulary: what it answers is encoded as it was generated."""
    path = server.folder / "words.gguf"
    puna(server, "synth", path, "--shape", "tiny", "--type", "Q4_K_M", "--vocabulary", MINI)
    equal(200, server.post("/api/create", {"model": "words", "files": {"words.gguf": upload(server, path)}, "stream": False}).status)
    for prompt in ("Tell me a story.\n", "1 2 3: "):
        answer = server.post("/api/generate", {"model": "words", "prompt": prompt, "raw": True, "stream": False,
                                               "options": {"temperature": 0, "num_predict": 60}}).json()
        text = answer["response"]
        if not re.fullmatch(r"( [a-z]{3,}){60}", text) or len(set(text.split())) != 60:
            raise AssertionError(text)
        equal(60, server.post("/api/tokenize", {"model": "words", "text": text}).json()["count"])
    plain = server.folder / "plain.gguf"
    puna(server, "synth", plain, "--shape", "tiny")
    out = server.folder / "x.gguf"
    contains("0 whole words", refusal(server, "synth", out, "--shape", "tiny", "--vocabulary", plain))
    contains("nowhere", refusal(server, "synth", out, "--shape", "tiny", "--vocabulary", server.folder / "nowhere"))


def importance(server):
    """What a text says of the weights, and what a quantizer makes of it."""
    source = float_mini(server)
    text = server.folder / "text.txt"
    text.write_bytes((ROOT / "README.md").read_bytes())
    matrix = server.folder / "matrix.gguf"
    contains("perplexity", puna(server, "imatrix", source, text, "-o", matrix, "--ctx", 128, "--windows", 4))
    read = GgufFile.read(matrix)
    equal("imatrix", read.keys["general.type"][1])
    equal((8, [str(text)]), read.keys["imatrix.datasets"][1])
    equal((4, 128), (read.keys["imatrix.chunk_count"][1], read.keys["imatrix.chunk_size"][1]))
    names = {name.rsplit(".", 1)[0] for name in read.tensors}
    matrices = [name for name in GgufFile.read(source).tensors if name.startswith("blk.") and "norm" not in name]
    equal(sorted(matrices), sorted(names))
    for name, (_, _, data) in read.tensors.items():
        values = array.array("f", data)
        if name.endswith(".counts"):
            equal([4 * 128], list(values))
        elif not all(value > 0 for value in values):
            raise AssertionError(name)
    # Query, key and value meet the same.
    equal(read.tensors["blk.1.attn_q.weight.in_sum2"][2], read.tensors["blk.1.attn_v.weight.in_sum2"][2])

    plain, weighed = server.folder / "plain.gguf", server.folder / "weighed.gguf"
    puna(server, "quantize", source, plain, "Q4_K_M")
    puna(server, "quantize", source, weighed, "Q4_K_M", "--imatrix", matrix)
    keys = GgufFile.read(weighed).keys
    equal((str(matrix), str(text), len(names), 4),
          tuple(keys[f"quantize.imatrix.{key}"][1] for key in ("file", "dataset", "entries_count", "chunks_count")))
    equal(tensor_types(server, plain), tensor_types(server, weighed))
    equal(False, plain.read_bytes()[-4096:] == weighed.read_bytes()[-4096:], "weights make a difference")
    contains("perplexity", puna(server, "eval", "perplexity", weighed, "--text", text, "--ctx", 128, "--windows", 1))
    contains("neither a GGUF file nor an importance matrix", refusal(server, "quantize", source, plain, "Q4_0", "--imatrix", text))
    text.write_text("")
    contains("at least 4 are needed", refusal(server, "imatrix", source, text))
    contains("neither a file nor an installed model", refusal(server, "imatrix", "nobody", text))


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


def write_parts(gguf, folder, name):
    names = list(gguf.tensors)
    for i in range(3):
        part = GgufFile(gguf.keys if i == 0 else {}, {name: gguf.tensors[name] for name in names[i::3]})
        part.keys.update({"split.no": (2, i), "split.count": (2, 3), "split.tensors.count": (5, len(names))})
        part.write(folder / f"{name}-{i + 1:05}-of-00003.gguf")


def create_with_importance(server):
    """`create` weighs errors as `quantize` does, whatever the model is made of."""
    source, matrix, text = float_mini(server), server.folder / "weights.gguf", server.folder / "words.txt"
    text.write_bytes((ROOT / "README.md").read_bytes())
    puna(server, "imatrix", source, text, "-o", matrix, "--ctx", 128, "--windows", 4)

    def created(name, base):
        (server.folder / "Modelfile").write_text(f"FROM {base}\n")
        puna(server, "create", name, "-q", "Q4_K_M", "--imatrix", matrix, "-f", server.folder / "Modelfile")
        path = server.post("/api/show", {"model": name}).json()["modelfile"].split("\nFROM ")[1].splitlines()[0]
        return pathlib.Path(path).read_bytes()

    code, _, problem = server.run("quantize", source, "expected.gguf", "Q4_K_M", "--imatrix", matrix.name, cwd=server.folder)
    equal(0, code, problem)
    expected = (server.folder / "expected.gguf").read_bytes()
    equal(True, created("weighed", "./mini-f16.gguf") == expected, "from a GGUF file")
    puna(server, "create", "wide", "-f", source)
    equal(True, created("weighed2", "wide") == expected, "from a model")
    published_mini(server, server.folder / "hf-weighed")
    install(server, "hf-wide", server.folder / "hf-weighed")
    from_folder = created("weighed3", "./hf-weighed")
    equal(True, from_folder == created("weighed4", "hf-wide"), "from safetensors")
    equal(False, from_folder == created("weighed5", "./mini-f16.gguf"), "another source, another file")

    # The matrix is the model's: a draft model beside it is rounded without, whatever it is made of.
    write_parts(GgufFile.read(source), server.folder, "draft")
    for draft in ("./mini-f16.gguf", "./hf-weighed", "./draft-00001-of-00003.gguf"):
        (server.folder / "whole.gguf").write_bytes(source.read_bytes())
        (server.folder / "Modelfile").write_text(f"FROM ./whole.gguf\nDRAFT {draft}\n")
        puna(server, "create", "drafted", "-q", "Q4_K_M", "--imatrix", matrix, "--draft-quantize", "Q4_K_M",
             "-f", server.folder / "Modelfile")
        lines = server.post("/api/show", {"model": "drafted"}).json()["modelfile"].splitlines()
        equal([True, False], ["quantize.imatrix.file" in GgufFile.read(pathlib.Path(line.split(" ", 1)[1])).keys
                              for word in ("FROM ", "DRAFT ") for line in lines if line.startswith(word)], draft)
    contains("neither a GGUF file nor an importance matrix",
             refusal(server, "create", "x", "-q", "Q4_0", "--imatrix", text, "-f", source))


# --- models as Hugging Face publishes them

# Recorded model, how it is published, and how its tokens become a vector.
FAMILIES = [
    ("arch/llama-dense", hf.llama, None), ("arch/llama-dense", hf.mistral, None), ("arch/llama-moe", hf.mixtral, None),
    ("arch/granite-dense", hf.granite, None), ("arch/granitemoe-moe", hf.granite_moe, None),
    ("arch/qwen2-dense", hf.qwen2, None), ("arch/qwen2moe-moe", hf.qwen2_moe, None),
    ("arch/qwen3-dense", hf.qwen3, None), ("arch/qwen3moe-moe", hf.qwen3_moe, None),
    ("arch/gemma-dense", hf.gemma, None), ("arch/gemma2-dense", hf.gemma2, None), ("arch/gemma3-dense", hf.gemma3, None),
    ("variants/gemma3-dense-linear8", hf.gemma3_of_transformers_5, None), ("embedding/qwen3-dense-pool3", hf.qwen3_bare, 3),
    ("arch/gemma3-dense", hf.gemma3_with_eyes, None), ("arch/phi3-dense", hf.phi3, None),
    ("arch/olmo2-dense", hf.olmo2, None), ("arch/gpt-oss-moe", hf.gpt_oss, None),
    ("variants/llama-dense-tied", hf.llama, None), ("variants/llama-dense-yarn", hf.llama, None),
    ("variants/llama-dense-linear", hf.llama, None), ("variants/llama-dense-base500k", hf.llama, None),
    ("variants/granite-dense-scales", hf.granite, None), ("variants/gemma2-dense-softcap", hf.gemma2, None),
    ("variants/qwen2-dense-yarn", hf.qwen2, None), ("variants/gpt-oss-moe-yarn", hf.gpt_oss, None),
    ("variants/phi3-dense-longrope", hf.phi3, None),
    ("embedding/bert-dense-pool1", hf.bert, 1), ("embedding/bert-dense-pool2", hf.bert_for_masks, 2),
    ("embedding/bert-dense-pool2", hf.bert_by_tensorflow, 2), ("embedding/bert-dense-pool1", hf.xlm_roberta_for_masks, 1),
    ("embedding/bert-dense-pool1", hf.xlm_roberta, 1), ("embedding/nomic-bert-dense-pool1", hf.nomic, 1),
    ("embedding/nomic-bert-moe-dense-pool1", hf.nomic_moe, 1),
]


def recording(name):
    """The GGUF file of a recorded model: from the shared folder, else from the few in the repository."""
    shared = shared_path(f"oracles/{name}.gguf")
    own = ROOT / "tests" / "data" / "oracles" / (name.split("/")[1] + ".gguf")
    return shared or (own if own.exists() else None)


def floats(path):
    return array.array("f", path.read_bytes())


def nmse(actual, expected):
    equal(len(expected), len(actual))
    return sum((a - b) ** 2 for a, b in zip(actual, expected)) / sum(b * b for b in expected)


def computed(server, model, gguf):
    """What `model` computes for the tokens of a recording, on the backend that is slow and exact."""
    expected = floats(gguf.with_suffix(".expected.f32"))
    tokens = gguf.with_suffix(".tokens")
    kind = "embedding" if len(expected) < len(tokens.read_text().split()) else "logits"
    more = [] if kind == "embedding" else ["--kv-type", "f32"]
    puna(server, "eval", kind, model, "--tokens-file", tokens, "--out", server.folder / "out.f32", "--backend", "reference", *more)
    return floats(server.folder / "out.f32"), expected


def layers_of(server, name):
    """Pairs of kind and digest, as the manifest has them."""
    manifest = json.loads((server.folder / "models/manifests/registry.ollama.ai/library" / name / "latest").read_text())
    return [(layer["mediaType"].rsplit(".", 1)[1], layer["digest"]) for layer in manifest["layers"]]


def install(server, name, folder, *more):
    (folder.parent / "Modelfile").write_text(f"FROM ./{folder.name}\n")
    puna(server, "create", name, "-f", folder.parent / "Modelfile", *more)


def families(server):
    """Every family of models comes back with the logits that another engine recorded."""
    proven = 0
    for number, (name, family, pooling) in enumerate(FAMILIES):
        gguf = recording(name)
        if gguf is None:
            continue
        folder = server.folder / f"hf-{number}"
        hf.write(folder, GgufFile.read(gguf), family, shards=1 + number % 3, pooling=pooling)
        install(server, f"hf-{number}", folder)
        worst = nmse(*computed(server, f"hf-{number}", gguf))
        print(f"  {name} as {family.__name__}: {worst:.1e}")
        if not worst < 1e-9:
            raise AssertionError(f"{name} as {family.__name__}: {worst}")
        proven += 1
    if proven < 6:
        raise AssertionError(f"only {proven} recordings found")


def converted_keys(server, name, folder):
    """What the file of a converted model says."""
    install(server, name, folder)
    lines = server.post("/api/show", {"model": name}).json()["modelfile"].splitlines()
    path = [line for line in lines if line.startswith("FROM ")][-1][len("FROM "):]
    return {key: value for key, (_, value) in GgufFile.read(pathlib.Path(path)).keys.items()}


def configs(server):
    """What config.json may say in other places, or leave out."""
    def written(name, family, change=None):
        folder = server.folder / "hf-config"
        hf.write(folder, GgufFile.read(recording(name)), family, change=change)
        return folder

    def refused(folder, words):
        (server.folder / "Modelfile").write_text(f"FROM ./{folder.name}\n")
        contains(words, refusal(server, "create", "x", "-f", server.folder / "Modelfile"))

    name = "arch/llama-dense" if recording("arch/llama-dense") else "arch/llama-moe"
    family = hf.llama if "dense" in name else hf.mixtral
    head = GgufFile.read(recording(name)).keys
    head = head["llama.embedding_length"][1] // head["llama.attention.head_count"][1]

    def newest(config, _):
        config.pop("rope_theta", None)
        config["rope_parameters"] = {"full_attention": {"rope_type": "default", "rope_theta": 5e5, "partial_rotary_factor": 0.5}}
    keys = converted_keys(server, "newest", written(name, family, newest))
    equal((5e5, head // 2), (keys["llama.rope.freq_base"], keys["llama.rope.dimension_count"]))

    def stretched(config, _):
        config["rope_parameters"] = {"full_attention": {"rope_type": "default"}, "sliding_attention": {"rope_type": "linear", "factor": 2}}
    refused(written(name, family, stretched), "rope scaling of type 'linear' in local layers")

    keys = converted_keys(server, "whole", written(name, family, lambda config, _: config.update(is_causal=False)))
    equal(False, keys["llama.attention.causal"])
    keys = converted_keys(server, "causal", written(name, family, lambda config, _: config.update(is_causal=True)))
    equal(None, keys.get("llama.attention.causal"))

    gemma = recording("arch/gemma3-dense")
    if gemma is None:
        return

    def sparse(config, _):
        for key in ("num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "rope_theta"):
            del config[key]
    keys = converted_keys(server, "sparse", written("arch/gemma3-dense", hf.gemma3, sparse))
    equal([8, 4, 256, 256, 131072, 1e6, 1e4, 256], [keys["gemma3." + key] for key in (
        "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length", "context_length",
        "rope.freq_base", "rope.freq_base_swa", "rope.dimension_count")])
    equal(True, abs(keys["gemma3.attention.layer_norm_rms_epsilon"] - 1e-6) < 1e-12)

    def by_kind(config, _):
        del config["rope_theta"]
        config["rope_parameters"] = {"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 3e5},
                                     "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}}
    keys = converted_keys(server, "kinds", written("arch/gemma3-dense", hf.gemma3, by_kind))
    equal([3e5, 2e4, 4.0], [keys["gemma3.rope." + key] for key in ("freq_base", "freq_base_swa", "scaling.factor")])


def pooling(server):
    """How tokens become one vector: by flags, and by a name as Sentence Transformers 5.4 writes it."""
    gguf = recording("embedding/bert-dense-pool2")
    if gguf is None:
        raise Skip("no recording of an encoder")
    folder = server.folder / "hf-pooling"
    hf.write(folder, GgufFile.read(gguf), hf.bert, pooling=2)

    def module(**fields):
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(dict(fields, embedding_dimension=32, include_prompt=True)))

    for mode, number in (("mean", 1), ("cls", 2), ("lasttoken", 3)):
        module(pooling_mode=mode)
        equal(number, converted_keys(server, f"pooled-{mode}", folder)["bert.pooling_type"])
    if not nmse(*computed(server, "pooled-cls", gguf)) < 1e-9:
        raise AssertionError("not what was recorded")
    module()
    equal(1, converted_keys(server, "pooled", folder)["bert.pooling_type"])
    (server.folder / "Modelfile").write_text("FROM ./hf-pooling\n")
    for fields, words in (({"pooling_mode": "max"}, "pooling by max"), ({"pooling_mode": ["mean", "cls"]}, 'pooling by ["mean","cls"]'),
                          ({"pooling_mode_mean_sqrt_len_tokens": True}, "pooling by mean_sqrt_len"),
                          ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "pooling by mean and cls")):
        module(**fields)
        contains(words, refusal(server, "create", "x", "-f", server.folder / "Modelfile"))


def attention_factors(server):
    """The one of a config is what counts, beside YaRN's factor of the context."""
    gguf = recording("variants/gpt-oss-moe-yarn")
    growth = 0.1 * math.log(GgufFile.read(gguf).keys["gpt-oss.rope.scaling.factor"][1]) + 1
    for number, (value, same) in enumerate([(growth, True), (1.0, False)]):
        folder = server.folder / f"attention-{number}"
        hf.write(folder, GgufFile.read(gguf), hf.gpt_oss,
                 change=lambda config, _, value=value: config["rope_scaling"].update(attention_factor=value))
        install(server, f"attention-{number}", folder)
        equal(same, nmse(*computed(server, f"attention-{number}", gguf)) < 1e-9, f"{value}")


def tokenizer_json(keys):
    """The vocabulary of a GGUF file with GPT-2's splitting, as tokenizer.json says it."""
    tokens, types = keys["tokenizer.ggml.tokens"][1][1], keys["tokenizer.ggml.token_type"][1][1]
    special = [{"id": i, "content": text, "special": types[i] == 3, "normalized": False}
               for i, text in enumerate(tokens) if types[i] in (3, 4)]
    vocabulary = {text: i for i, text in enumerate(tokens) if types[i] == 1}
    # Half of the merges as older files write them, which readers must take as well.
    merges = [merge.split(" ") if i % 2 else merge for i, merge in enumerate(keys["tokenizer.ggml.merges"][1][1])]
    return {"version": "1.0", "added_tokens": special, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
            "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": vocabulary, "merges": merges}}


def published_mini(server, folder):
    """The bundled model as its training program would have published it."""
    plain = server.folder / "mini-f32.gguf"
    puna(server, "quantize", MINI, plain, "F32", "--allow-requantize")
    gguf = GgufFile.read(plain)
    hf.write(folder, gguf, hf.llama)
    keys = gguf.keys
    tokens = keys["tokenizer.ggml.tokens"][1][1]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(keys)))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": tokens[keys["tokenizer.ggml.bos_token_id"][1]], "add_bos_token": False,
        "eos_token": {"content": tokens[keys["tokenizer.ggml.eos_token_id"][1]]},
        "chat_template": keys["tokenizer.chat_template"][1]}))
    return plain


def published_model(server):
    """A whole model: weights, vocabulary and template give the same answers as the file they were taken from."""
    folder = server.folder / "hf-mini"
    plain = published_mini(server, folder)
    (server.folder / "Modelfile").write_text("FROM ./mini-f32.gguf\n")
    puna(server, "create", "original", "-f", server.folder / "Modelfile")
    install(server, "converted", folder)
    text = "The cat sat, 42 times; caf\u00e9 <|im_end|>"
    for model in (plain, "converted"):
        code, out, problem = server.run("eval", "tokenize", str(model), "--special", stdin=text)
        equal(0, code, problem)
        if model == plain:
            expected = out
        equal(expected, out)
    for path, body in (("/api/generate", {"prompt": "Tell me a story"}),
                       ("/api/chat", {"messages": [{"role": "user", "content": "Hello"}]})):
        answers = [server.post(path, dict(body, model=model, stream=False, options=GREEDY)).json() for model in ("original", "converted")]
        equal(answers[0].get("response", answers[0].get("message")), answers[1].get("response", answers[1].get("message")))
        equal(answers[0]["prompt_eval_count"], answers[1]["prompt_eval_count"])
    install(server, "small", folder, "-q", "Q4_K_M")
    equal("Q4_K_M", server.post("/api/show", {"model": "small"}).json()["details"]["quantization_level"])
    if not ask(server, "small").strip():
        raise AssertionError("no answer")


def frames(server):
    """What tokenizer.json puts around a text, and tokens that the model has no embeddings for."""
    folder = server.folder / "hf-frames"
    published_mini(server, folder)
    plain = json.loads((folder / "tokenizer.json").read_text())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    bos, eos = config["bos_token"], config["eos_token"]["content"]
    ids = {token["content"]: token["id"] for token in plain["added_tokens"]}
    others = [text for text in ids if text not in (bos, eos)]
    embeddings = len(plain["model"]["vocab"]) + len(ids)

    def keys(name, tokenizer, **more):
        (folder / "tokenizer.json").write_text(json.dumps(dict(plain, **tokenizer)))
        fields = {key: value for key, value in dict(config, **more).items() if value is not None}
        (folder / "tokenizer_config.json").write_text(json.dumps(fields))
        read = converted_keys(server, name, folder)
        names = ("bos_token_id", "eos_token_id", "eot_token_id", "add_bos_token", "add_eos_token")
        return [read.get("tokenizer.ggml." + key) for key in names], read

    def template(*parts):
        return {"type": "TemplateProcessing", "single": [
            {"Sequence": {"id": "A", "type_id": 0}} if part == "A" else {"SpecialToken": {"id": part, "type_id": 0}} for part in parts]}

    equal([ids[bos], ids[eos], None, None, None], keys("bare", {}, add_bos_token=None)[0])
    steps = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, template(bos, "A", eos)]}
    equal([ids[bos], ids[eos], None, True, True], keys("framed", {"post_processor": steps}, add_bos_token=None)[0])
    # The configuration has the last word.
    equal([ids[bos], ids[eos], None, False, True], keys("ended", {"post_processor": steps})[0])
    # As of Qwen 3's models for embeddings: what closes a text is not what ends an answer.
    other = others[0]
    equal([ids[bos], ids[other], ids[eos], False, True], keys("other", {"post_processor": template("A", other)})[0])
    equal([ids[bos], ids[eos], None, False, False],
          keys("not", {"post_processor": template("A", other)}, add_eos_token=False)[0])
    roberta = {"type": "RobertaProcessing", "cls": [bos, ids[bos]], "sep": [eos, ids[eos]]}
    equal([ids[bos], ids[eos], None, True, True], keys("roberta", {"post_processor": roberta}, bos_token=None, add_bos_token=None)[0])

    surplus = {"id": embeddings, "content": "<image_soft_token>", "special": True, "normalized": False}
    got = keys("surplus", {"added_tokens": plain["added_tokens"] + [surplus]})[1]["tokenizer.ggml.tokens"][1]
    equal((embeddings, False), (len(got), "<image_soft_token>" in got))
    (folder / "tokenizer.json").write_text(json.dumps(
        dict(plain, model=dict(plain["model"], vocab=dict(plain["model"]["vocab"], surplus=embeddings)))))
    contains(f"the tokenizer has {embeddings + 1} tokens", refusal(server, "create", "x", "-f", server.folder / "Modelfile"))
    (folder / "tokenizer.json").unlink()
    code, out, problem = server.run("create", "mute", "-f", str(server.folder / "Modelfile"))
    equal(0, code, problem)
    contains("there is no tokenizer.json", out + problem)


def rounded(values, kind):
    """float32 as BF16 or F16, by struct."""
    if kind == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    return b"".join(struct.pack("<f", value)[2:] for value in values)


def other_types(server):
    """BF16, F16 and FP8 with scales: the values that they stand for arrive."""
    gguf_path = recording("arch/llama-dense") or recording("arch/llama-moe")
    family = hf.llama if "dense" in gguf_path.name else hf.mixtral
    gguf = GgufFile.read(gguf_path)

    def as_type(kind):
        def change(config, tensors):
            for name, (_, shape, data) in list(tensors.items()):
                values = array.array("f", data)
                if kind in ("BF16", "F16"):
                    tensors[name] = (kind, shape, rounded(values, kind))
                elif len(shape) == 2 and "proj" in name:
                    # The exponent and the sign fit E5M2 whatever the value; blocks of 16 by 8 share a scale.
                    rows, columns = shape
                    tensors[name] = ("F8_E5M2", shape, bytes(struct.pack("<e", value)[1] for value in values))
                    blocks = -(-rows // 16) * -(-columns // 8)
                    tensors[name + "_scale_inv"] = ("F32", [-(-rows // 16), -(-columns // 8)],
                                                    struct.pack(f"<{blocks}f", *[1 + i / 64 for i in range(blocks)]))
                    # For activations and keys that are rounded too, which these are not.
                    for other in ("input_scale", "activation_scale", "k_scale"):
                        tensors[name.replace("weight", other)] = ("F32", [1], struct.pack("<f", 3.0))
            config["quantization_config"] = {"weight_block_size": [16, 8]}
        return change

    def plain_of(kind):
        """The same values in float32."""
        def change(config, tensors):
            as_type(kind)(config, tensors)
            for name, (stored, shape, data) in list(tensors.items()):
                if stored == "F16":
                    values = struct.unpack(f"<{len(data) // 2}e", data)
                elif stored == "BF16":
                    values = [struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] for i in range(0, len(data), 2)]
                elif stored == "F8_E5M2":
                    scales = array.array("f", tensors[name + "_scale_inv"][2])
                    across = -(-shape[1] // 8)
                    values = [struct.unpack("<e", b"\0" + data[i:i + 1])[0] * scales[i // shape[1] // 16 * across + i % shape[1] // 8]
                              for i in range(len(data))]
                else:
                    continue
                tensors[name] = ("F32", shape, array.array("f", values).tobytes())
            for name in [name for name in tensors if name.endswith("_scale_inv")]:
                del tensors[name]
        return change

    kinds = ["BF16", "F16"] + (["FP8"] if family is hf.llama else [])
    for kind in kinds:
        for number, (change, quantize) in enumerate(((as_type(kind), kind), (plain_of(kind), "F32"))):
            hf.write(server.folder / f"{kind}-{number}", gguf, family, change=change)
            # FP8 would become Q8_0; float32 keeps it exact for the comparison.
            install(server, f"{kind}-{number}", server.folder / f"{kind}-{number}", "-q", "F32" if kind == "FP8" else quantize)
        first, second = [computed(server, f"{kind}-{number}", gguf_path)[0] for number in (0, 1)]
        if not nmse(first, second) < 1e-12:
            raise AssertionError(f"{kind}: {nmse(first, second)}")


def split_files(server):
    """All parts of a split GGUF become one blob, whichever part is named."""
    write_parts(GgufFile.read(float_mini(server)), server.folder, "part")
    (server.folder / "Modelfile").write_text("FROM ./part-00002-of-00003.gguf\n")
    puna(server, "create", "joined", "-f", server.folder / "Modelfile")
    (server.folder / "Modelfile").write_text("FROM ./mini-f16.gguf\n")
    puna(server, "create", "whole", "-f", server.folder / "Modelfile")
    equal(ask(server, "whole"), ask(server, "joined"))

    # Beside a projector, as two lines and as a folder.
    seeing = server.folder / "seeing"
    seeing.mkdir()
    projector = GgufFile({"general.architecture": (STRING, "clip"), "general.type": (STRING, "mmproj")})
    projector.set_f32("v.patch_embd.weight", [4], [1.0, 2.0, 3.0, 4.0])
    projector.write(seeing / "mmproj.gguf")
    for i in range(1, 4):
        (seeing / f"part-0000{i}-of-00003.gguf").write_bytes((server.folder / f"part-0000{i}-of-00003.gguf").read_bytes())
    weights = [digest for _, digest in layers_of(server, "joined")][:1]
    for lines in ("FROM ./part-00001-of-00003.gguf\nFROM ./seeing/mmproj.gguf\n", "FROM ./seeing/mmproj.gguf\nFROM ./part-00003-of-00003.gguf\n",
                  "FROM ./seeing\n"):
        (server.folder / "Modelfile").write_text(lines)
        puna(server, "create", "seeing", "-f", server.folder / "Modelfile")
        kinds = dict(layers_of(server, "seeing"))
        equal(weights, [kinds["model"]], lines)
        equal("sha256:" + hashlib.sha256((seeing / "mmproj.gguf").read_bytes()).hexdigest(), kinds["projector"], lines)
    contains("  Projector\n    architecture    clip\n    parameters      4\n", puna(server, "show", "seeing"))
    (server.folder / "Modelfile").write_text("FROM ./part-00001-of-00003.gguf\nFROM ./mini-f16.gguf\n")
    contains('files "part-00001-of-00003.gguf" and "mini-f16.gguf" are two models', refusal(server, "create", "x", "-f", server.folder / "Modelfile"))
    reply = server.post("/api/create", {"model": "x", "files": {"m-2.gguf": upload(server, server.folder / "part-00002-of-00003.gguf")}, "stream": False})
    contains("m-2.gguf: it is part 2 of 3 of a split model, but 1 file is given", reply.body.decode())

    (server.folder / "part-00003-of-00003.gguf").unlink()
    (server.folder / "Modelfile").write_text("FROM ./part-00001-of-00003.gguf\n")
    contains("part-00003", refusal(server, "create", "x", "-f", server.folder / "Modelfile"))


def peft_adapters(server):
    """An adapter as PEFT writes it changes a model as adding its product to the weights does, whatever scales the product."""
    adapts(server, "peft", {}, lambda name: (2, 3.0 / 2))
    adapters_side_by_side(server, server.folder / "peft")
    # Ranks and alphas of their own, by ends and by expressions; the first key that fits counts.
    patterns = {"alpha_pattern": {r"layers\.0\..*k_proj": 5.0, "k_proj": 7.0, "^model.layers.1.self_attn.q_proj": 1.0},
                "rank_pattern": {"o_proj": 4}}

    def rank(name):
        return 4 if "o_proj" in name else 2

    def scaled(name):
        return {"model.layers.0.self_attn.k_proj": 5.0, "model.layers.1.self_attn.k_proj": 7.0,
                "model.layers.1.self_attn.q_proj": 1.0}.get(name, 3.0)
    adapts(server, "patterns", patterns, lambda name: (rank(name), scaled(name) / rank(name)))
    adapts(server, "rooted", dict(patterns, use_rslora=True), lambda name: (rank(name), scaled(name) / math.sqrt(rank(name))))

    def refused(words, changed={}, **config):
        folder = server.folder / "peft"
        tensors, written = changed, json.loads((folder / "adapter_config.json").read_text())
        kept = (folder / "adapter_config.json").read_text(), (folder / "adapter_model.safetensors").read_bytes()
        if tensors:
            hf.write_safetensors(folder / "adapter_model.safetensors", tensors)
        (folder / "adapter_config.json").write_text(json.dumps(dict(written, **config)))
        (server.folder / "Modelfile").write_text("FROM ./peft-base\nADAPTER ./peft\n")
        contains(words, refusal(server, "create", "x", "-f", server.folder / "Modelfile"))
        (folder / "adapter_config.json").write_text(kept[0])
        (folder / "adapter_model.safetensors").write_bytes(kept[1])

    stem = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    a, b = ("F32", [2, 32], bytes(256)), ("F32", [32, 2], bytes(256))
    refused(f"tensor '{stem}B.bias': biases", {stem + "A.weight": a, stem + "B.weight": b, stem + "B.bias": ("F32", [32], bytes(128))})
    refused(f"tensor '{stem}A.weight' is there and its lora_B is not", {stem + "A.weight": a})
    refused("no matrices whose product exists", {stem + "A.weight": a, stem + "B.weight": a})
    refused("the regular expression '(?=q)' is not supported", alpha_pattern={"(?=q)": 3})
    refused("q_proj is no positive number", alpha_pattern={"q_proj": -3})
    refused("alpha_pattern is no object", alpha_pattern=[3])


def adapts(server, title, config, shape_of):
    """The adapter `title`: shape_of(module) gives its rank and what its product is multiplied with."""
    gguf_path = recording("arch/llama-dense") or recording("arch/llama-moe")
    family = hf.llama if "dense" in gguf_path.name else hf.mixtral
    gguf = GgufFile.read(gguf_path)
    factors = {}

    def factor(seed, count):
        return [((seed * 7919 + i * 104729) % 2003) / 2003 - 0.5 for i in range(count)]

    def merge(_, tensors):
        for seed, name in enumerate(sorted(tensors)):
            if not name.endswith(("q_proj.weight", "k_proj.weight", "o_proj.weight")):
                continue
            _, (rows, columns), data = tensors[name]
            ranks, scale = shape_of(name.removesuffix(".weight"))
            a, b = factor(seed, ranks * columns), factor(seed + 100, rows * ranks)
            stem = "base_model.model." + name.removesuffix(".weight")
            factors[stem + ".lora_A.weight"] = ("F32", [ranks, columns], array.array("f", a).tobytes())
            factors[stem + ".lora_B.weight"] = ("F32", [rows, ranks], array.array("f", b).tobytes())
            weights = array.array("f", data)
            for row in range(rows):
                for column in range(columns):
                    weights[row * columns + column] += scale * sum(
                        b[row * ranks + r] * a[r * columns + column] for r in range(ranks))
            tensors[name] = ("F32", [rows, columns], weights.tobytes())

    hf.write(server.folder / "peft-merged", gguf, family, change=merge)
    hf.write(server.folder / "peft-base", gguf, family)
    folder = server.folder / title
    folder.mkdir()
    hf.write_safetensors(folder / "adapter_model.safetensors", factors)
    (folder / "adapter_config.json").write_text(json.dumps(dict({"peft_type": "LORA", "r": 2, "lora_alpha": 3.0}, **config)))
    install(server, "merged", server.folder / "peft-merged")
    (server.folder / "Modelfile").write_text(f"FROM ./peft-base\nADAPTER ./{title}\n")
    puna(server, "create", "adapted", "-f", server.folder / "Modelfile")
    lines = server.post("/api/show", {"model": "adapted"}).json()["modelfile"].splitlines()
    base = next(line for line in lines if line.startswith("FROM "))[len("FROM "):]
    adapter = next(line for line in lines if line.startswith("ADAPTER "))[len("ADAPTER "):]
    puna(server, "eval", "logits", base, "--adapter", adapter, "--tokens-file", gguf_path.with_suffix(".tokens"), "--kv-type", "f32",
         "--out", server.folder / "adapted.f32", "--backend", "reference")
    lora = server.folder / "lora.gguf"
    lora.write_bytes(pathlib.Path(adapter).read_bytes())
    contains("are the same file", refusal(server, "eval", "logits", base, "--adapter", f"{lora}=0.5", "--tokens-file",
                                          gguf_path.with_suffix(".tokens"), "--out", lora))
    expected, recorded = computed(server, "merged", gguf_path)
    worst = nmse(floats(server.folder / "adapted.f32"), expected)
    print(f"  {title}: {worst:.1e}")
    if not worst < 1e-9 or nmse(expected, recorded) < 1e-3:
        raise AssertionError(f"{worst}; the adapter changes {nmse(expected, recorded)}")


def adapters_side_by_side(server, folder):
    """Each ADAPTER line is an adapter of its own, with its own scale, whatever the others are; names tell as much in a request."""
    def made(*lines):
        (server.folder / "Modelfile").write_text("FROM ./peft-base\n" + "".join(f"ADAPTER {line}\n" for line in lines))
        puna(server, "create", "stack", "-f", server.folder / "Modelfile")
        return [digest for kind, digest in layers_of(server, "stack") if kind == "adapter"]

    other = server.folder / "other" / "peft"
    other.mkdir(parents=True)
    (other / "adapter_model.safetensors").write_bytes((folder / "adapter_model.safetensors").read_bytes())
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 7.0}
    (other / "adapter_config.json").write_text(json.dumps(config))
    [first] = made("./peft")
    [second] = made("./other/peft")
    blob = server.folder / "models" / "blobs" / first.replace(":", "-")
    gguf = GgufFile.read(blob)
    gguf.keys["adapter.lora.alpha"] = (FLOAT32, 11.0)
    gguf.write(server.folder / "third.gguf")
    [third] = made("./third.gguf")
    equal(3, len({first, second, third}))
    equal([first, second], made("./peft", "./other/peft"))
    equal([second, third, first], made("./other/peft", "./third.gguf", "./peft"))
    equal([third, first], made("./third.gguf", "./peft"))
    # The names of Ollama's clients: those of one folder have no folder.
    files = {path.name: upload(server, path) for path in sorted(folder.iterdir())}
    for adapters, expected in ((files, [first]), (dict(files, **{"z.gguf": upload(server, server.folder / "third.gguf")}), [first, third])):
        reply = server.post("/api/create", {"model": "sent", "from": "adapted", "adapters": adapters, "stream": False})
        equal(200, reply.status, reply.body)
        equal([first] + expected, [digest for kind, digest in layers_of(server, "sent") if kind == "adapter"])
    (other / "adapter_config.json").write_text(json.dumps(dict(config, lora_alpha=0)))
    (server.folder / "Modelfile").write_text("FROM ./peft-base\nADAPTER ./peft\nADAPTER ./other/peft\n")
    contains("other/peft: adapter_config.json: lora_alpha is no positive number", refusal(server, "create", "x", "-f", server.folder / "Modelfile"))


def bad_checkpoints(server):
    """Files that contradict themselves give one clear error and leave nothing."""
    gguf_path = recording("arch/llama-dense") or recording("arch/llama-moe")
    family = hf.llama if "dense" in gguf_path.name else hf.mixtral
    gguf = GgufFile.read(gguf_path)
    before = {path.name for path in (server.folder / "models" / "blobs").iterdir()}

    def refused(what, words, change=None, spoil=None):
        folder = server.folder / "bad"
        hf.write(folder, gguf, family, change=change)
        if spoil:
            spoil(folder)
        (server.folder / "Modelfile").write_text("FROM ./bad\n")
        problem = refusal(server, "create", "bad", "-f", server.folder / "Modelfile")
        print(f"  {what}: {problem.splitlines()[-1]}")
        for word in words:
            contains(word, problem)
        for path in folder.iterdir():
            path.unlink()

    q = "model.layers.0.self_attn.q_proj.weight"
    refused("unknown family", ["unsupported architecture", "NoSuchModel"], lambda c, t: c.update(architectures=["NoSuchModel"]))
    refused("no config", ["config.json"], spoil=lambda folder: (folder / "config.json").unlink())
    refused("a tensor too many", ["model.layers.9.extra"], lambda c, t: t.update({"model.layers.9.extra": ("F32", [1], bytes(4))}))
    refused("layers that are not counted", ["model.layers.1"], lambda c, t: c.update(num_hidden_layers=1))
    refused("absurd counts", ["num_hidden_layers"], lambda c, t: c.update(num_hidden_layers=10 ** 12))
    refused("heads that do not divide", ["rows"], lambda c, t: c.update(num_attention_heads=7))
    refused("integers as weights", ["float type"], lambda c, t: t.update({q: ("U8", [4, 4], bytes(16))}))
    refused("cut short", ["safetensors"], spoil=lambda folder: (folder / "model.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes()[:-1000]))
    refused("a header that lies", ["header"], spoil=lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 64))
    refused("a tokenizer that is none", ["tokenizer.json"], spoil=lambda folder: (folder / "tokenizer.json").write_text("[1, 2]"))
    left = {path.name for path in (server.folder / "models" / "blobs").iterdir()} - before
    equal([], [name for name in left if not name.startswith("sha256-")], "temporary files")
    equal(404, server.post("/api/show", {"model": "bad"}).status)


def large_checkpoint(folder, layers, width=4096, hidden=11008, vocabulary=32000):
    """A model of zeros in BF16 that takes no room on the disk."""
    shapes = {"model.embed_tokens.weight": [vocabulary, width], "lm_head.weight": [vocabulary, width], "model.norm.weight": [width]}
    for i in range(layers):
        for name, shape in (("input_layernorm", [width]), ("self_attn.q_proj", [width, width]), ("self_attn.k_proj", [width, width]),
                            ("self_attn.v_proj", [width, width]), ("self_attn.o_proj", [width, width]),
                            ("post_attention_layernorm", [width]), ("mlp.gate_proj", [hidden, width]), ("mlp.up_proj", [hidden, width]),
                            ("mlp.down_proj", [width, hidden])):
            shapes[f"model.layers.{i}.{name}.weight"] = shape
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    folder.mkdir()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "hidden_size": width, "num_hidden_layers": layers, "intermediate_size": hidden,
        "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
        "vocab_size": vocabulary}))
    return at


def memory_of_large_models(server):
    """Weights are streamed: more than 6 GB pass through a server whose memory stays below 2 GB."""
    if not os.environ.get("PUNA_TEST_ALL"):
        raise Skip("only with scripts/test --all")
    size = large_checkpoint(server.folder / "large", layers=14)
    (server.folder / "Modelfile").write_text("FROM ./large\n")
    code, _, problem = server.run("create", "large", "-f", str(server.folder / "Modelfile"), "-q", "Q4_K_M", timeout=1800)
    equal(0, code, problem)
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    print(f"  {size / 1e9:.1f} GB converted, the server's memory was at most {peak / 1e9:.2f} GB", flush=True)
    if size < 6e9 or peak > 2e9:
        raise AssertionError(f"{size} {peak}")
    puna(server, "rm", "large")


if __name__ == "__main__":
    main((Server, (quantize_files, answers_in_words, importance, interrupted, create_with_quantize, create_with_importance, families, configs, pooling,
                   attention_factors, published_model, frames, other_types, split_files, peft_adapters, bad_checkpoints, memory_of_large_models)))
