#!/usr/bin/env python3
"""Model files as users bring them, against a real server: adapters, embedding models, and files that are no good."""
import array
import hashlib
import math
import random
import threading

from gguf_file import ARRAY, BOOL, FLOAT32, INT32, STRING, UINT16, UINT32, GgufFile, row_bytes
from puna_server import ROOT, Server, contains, equal, main

MINI = ROOT / "models" / "mini.gguf"
BERT = ROOT / "tests" / "data" / "oracles" / "bert-dense-pool1.gguf"
GREEDY = {"temperature": 0, "num_predict": 24}


def upload(server, path):
    data = path.read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    contains(server.request("POST", f"/api/blobs/{digest}", data).status, (200, 201))
    return digest


def create(server, name, **fields):
    lines = server.post("/api/create", dict({"model": name}, **fields)).lines()
    equal({"status": "success"}, lines[-1])


def error_of(reply):
    body = reply.json()
    if reply.status < 400 or set(body) != {"error"}:
        raise AssertionError(f"no error but {reply.status} {body!r}"[:500])
    return body["error"]


# --- adapters


def random_values(generator, count, size):
    return [generator.uniform(-size, size) for _ in range(count)]


def make_adapter(path, base, seed, ranks, size=0.3, architecture="llama"):
    """Changes the attention outputs and the down projections of `base`."""
    generator = random.Random(seed)
    adapter = GgufFile({"general.architecture": (STRING, architecture), "general.type": (STRING, "adapter"),
                        "adapter.type": (STRING, "lora"), "adapter.lora.alpha": (FLOAT32, float(ranks))})
    for name, (dims, _, _) in base.tensors.items():
        if "attn_output" in name or "ffn_down" in name:
            width, rows = dims
            adapter.set_f32(name + ".lora_a", [width, ranks], random_values(generator, width * ranks, size))
            adapter.set_f32(name + ".lora_b", [ranks, rows], random_values(generator, ranks * rows, size))
    adapter.write(path)
    return adapter


def stack_adapters(path, one, two, ranks):
    """One adapter that does what both do: the pairs side by side, alpha so that the scale stays the same."""
    both = GgufFile(one.keys)
    both.keys["adapter.lora.alpha"] = (FLOAT32, float(2 * ranks))
    for name, (dims, _, content) in one.tensors.items():
        first, second = array.array("f", content), array.array("f", two.tensors[name][2])
        if name.endswith(".lora_a"):
            both.set_f32(name, [dims[0], 2 * ranks], first + second)
        else:
            rows = [first[i:i + ranks] + second[i:i + ranks] for i in range(0, len(first), ranks)]
            both.set_f32(name, [2 * ranks, dims[1]], [value for row in rows for value in row])
    both.write(path)


def ask(server, model, prompt="Tell me a story about a boat"):
    reply = server.post("/api/generate", {"model": model, "prompt": prompt, "stream": False, "options": GREEDY})
    equal(200, reply.status, reply.body)
    return reply.json()["response"]


def adapters(server):
    base = GgufFile.read(MINI)
    folder = server.folder
    one = make_adapter(folder / "one.gguf", base, 1, 3)
    two = make_adapter(folder / "two.gguf", base, 2, 3)
    stack_adapters(folder / "both.gguf", one, two, 3)
    (folder / "Modelfile").write_text("FROM mini\nADAPTER ./one.gguf\n")
    code, _, problem = server.run("create", "one", "-f", str(folder / "Modelfile"))
    equal(0, code, problem)
    (folder / "Modelfile").write_text("FROM mini\nADAPTER ./one.gguf\nADAPTER two.gguf\n")
    code, _, problem = server.run("create", "stack", "-f", str(folder / "Modelfile"))
    equal(0, code, problem)
    create(server, "later", **{"from": "one", "adapters": {"two.gguf": upload(server, folder / "two.gguf")}})
    create(server, "side", **{"from": "mini", "adapters": {"both.gguf": upload(server, folder / "both.gguf")}})
    create(server, "plain", **{"from": "mini"})

    names = ["plain", "one", "stack", "later", "side"]
    alone = {name: ask(server, name) for name in names}
    equal(ask(server, "mini"), alone["plain"])
    if len({alone["plain"], alone["one"], alone["stack"]}) != 3:
        raise AssertionError(f"the adapters change nothing: {alone!r}")
    equal(alone["side"], alone["stack"], "a stack of two is what one with both pairs does")
    equal(alone["stack"], alone["later"], "an adapter added to a model that has one")

    together = {}
    threads = [threading.Thread(target=lambda n=name: together.__setitem__(n, ask(server, n))) for name in names * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(alone, together, "answers beside others")
    # All but the bundled model's own name have the same blob as weights, and so one engine.
    running = server.request("GET", "/api/ps").json()["models"]
    equal(2, len(running), [model["name"] for model in running])

    shown = server.post("/api/show", {"model": "stack"}).json()["modelfile"]
    equal(2, shown.count("\nADAPTER "), shown)
    code, out, _ = server.run("run", "stack", "Tell me a story about a boat")
    equal(0, code)
    if not out.strip():
        raise AssertionError("no answer")


def adapters_that_do_not_fit(server):
    base = GgufFile.read(MINI)
    folder = server.folder

    def refused(name, bend, words):
        adapter = make_adapter(folder / "bad.gguf", base, 1, 2)
        bend(adapter)
        adapter.write(folder / "bad.gguf")
        create(server, name, **{"from": "mini", "adapters": {"bad.gguf": upload(server, folder / "bad.gguf")}})
        for body in ({"prompt": "x", "stream": False}, {}):
            problem = error_of(server.post("/api/generate", dict(body, model=name)))
            for word in words:
                contains(word, problem)

    out = "blk.0.attn_output.weight"

    def wrong_rank(adapter):
        dims, kind, content = adapter.tensors[out + ".lora_b"]
        adapter.tensors[out + ".lora_b"] = ([dims[0] - 1, dims[1]], kind, content[:4 * (dims[0] - 1) * dims[1]])

    refused("bad-architecture", lambda a: a.keys.update({"general.architecture": (STRING, "gemma3")}), ["gemma3", "llama"])
    refused("bad-rank", wrong_rank, [out + ".lora_a", "rank 2", "rank 1"])
    refused("bad-name", lambda a: a.set_f32("blk.99.ffn_up.weight.lora_a", [4, 2], [0] * 8) or
            a.set_f32("blk.99.ffn_up.weight.lora_b", [2, 4], [0] * 8), ["blk.99.ffn_up.weight"])
    digest = upload(server, MINI)
    reply = server.post("/api/create", {"model": "x", "from": "mini", "adapters": {"m.gguf": digest}, "stream": False})
    contains("general.type", error_of(reply))
    ask(server, "mini")


# --- embeddings


def make_bert(path, pooling=None, head=None):
    """The weights of a recorded embedding model with a WordPiece vocabulary of as many tokens; another pooling and the
    weights of a rank head if given."""
    model = GgufFile.read(BERT)
    count = model.tensors["token_embd.weight"][0][1]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += ["\u2581" + word for word in "the a cat dog sat on mat ran far away and slept well".split()]
    words += ["\u2581" + letter for letter in "bcdefghijklmnopqrstuvwxyz"] + list("abcdefghijklmnopqrstuvwxyz")
    words += [f"[unused{i}]" for i in range(count - len(words))]
    kinds = [3 if word.startswith("[") else 1 for word in words]
    model.keys.update({
        "tokenizer.ggml.model": (STRING, "bert"), "tokenizer.ggml.pre": (STRING, "jina-v2-en"),
        "tokenizer.ggml.tokens": (ARRAY, (STRING, words)), "tokenizer.ggml.token_type": (ARRAY, (INT32, kinds)),
        "tokenizer.ggml.token_type_count": (UINT32, 2),
        "tokenizer.ggml.unknown_token_id": (UINT32, 1), "tokenizer.ggml.padding_token_id": (UINT32, 0),
        "tokenizer.ggml.bos_token_id": (UINT32, 2), "tokenizer.ggml.cls_token_id": (UINT32, 2),
        "tokenizer.ggml.eos_token_id": (UINT32, 3), "tokenizer.ggml.seperator_token_id": (UINT32, 3),
        "tokenizer.ggml.mask_token_id": (UINT32, 4)})
    if pooling is not None:
        model.keys["bert.pooling_type"] = (UINT32, pooling)
    if head is not None:
        model.set_f32("cls.output.weight", [len(head), 1], head)
        model.set_f32("cls.output.bias", [1], [0.5])
    model.write(path)
    return words, model


def length(vector):
    return math.sqrt(sum(value * value for value in vector))


def near(expected, actual, what=""):
    equal(len(expected), len(actual), what)
    worst = max(abs(a - b) for a, b in zip(expected, actual))
    if worst > 1e-4:
        raise AssertionError(f"{what}: off by {worst}")


def embeddings(server):
    words, model = make_bert(server.folder / "bert.gguf")
    width = model.keys["bert.embedding_length"][1]
    create(server, "tiny-bert", files={"bert.gguf": upload(server, server.folder / "bert.gguf")})
    equal(["embedding"], server.post("/api/show", {"model": "tiny-bert"}).json()["capabilities"])

    def embed(value, **more):
        reply = server.post("/api/embed", dict({"model": "tiny-bert", "input": value}, **more))
        equal(200, reply.status, reply.body)
        return reply.json()

    texts = ["the cat sat", "A dog ran far away", "mat", "the cat sat on the mat and slept well"]
    # [CLS] and [SEP] around each; "the" and so on are one token each.
    counts = [len(text.split()) + 2 for text in texts]
    batch = embed(texts)
    equal("tiny-bert", batch["model"])
    equal((len(texts), sum(counts)), (len(batch["embeddings"]), batch["prompt_eval_count"]))
    for key in ("total_duration", "load_duration"):
        contains(key, batch)
    # The weights are those of a recorded model, so any other program has the same vectors for the same ids.
    ids = [2] + [words.index("\u2581" + word) for word in "the cat sat".split()] + [3]
    (server.folder / "ids").write_text(" ".join(map(str, ids)))
    code, _, problem = server.run("eval", "embedding", str(BERT), "--tokens-file", str(server.folder / "ids"),
                                  "--backend", "reference", "--out", str(server.folder / "out.f32"))
    equal(0, code, problem)
    pooled = array.array("f", (server.folder / "out.f32").read_bytes())
    near([value / length(pooled) for value in pooled], batch["embeddings"][0], "the recorded model's vector")

    for text, count, vector in zip(texts, counts, batch["embeddings"]):
        equal(width, len(vector))
        if abs(length(vector) - 1) > 1e-4:
            raise AssertionError(f"length {length(vector)}")
        single = embed(text)
        equal(count, single["prompt_eval_count"])
        near(vector, single["embeddings"][0], "alone and in a batch")
    old = server.post("/api/embeddings", {"model": "tiny-bert", "prompt": texts[0]}).json()["embedding"]
    near(pooled, old, "/api/embeddings is not normalized")
    short = embed(texts[0], dimensions=16)["embeddings"][0]
    part = batch["embeddings"][0][:16]
    near([value / length(part) for value in part], short, "dimensions")
    near(batch["embeddings"][0], embed(texts[0], dimensions=10 * width)["embeddings"][0], "more dimensions than there are")
    equal([], embed([])["embeddings"])
    equal([], server.post("/api/embeddings", {"model": "tiny-bert", "prompt": ""}).json()["embedding"])

    # Cut to five tokens, of which the last stays [SEP].
    cut = embed(texts[3], options={"num_ctx": 5})
    equal(5, cut["prompt_eval_count"])
    near(batch["embeddings"][0], cut["embeddings"][0], "truncated")
    contains("context length", error_of(server.post("/api/embed", {
        "model": "tiny-bert", "input": texts[3], "options": {"num_ctx": 5}, "truncate": False})))
    limit = model.keys["bert.context_length"][1]
    equal(limit, embed("cat " * (2 * limit))["prompt_eval_count"], "truncated to the trained length")
    contains("does not support generate", error_of(server.post("/api/generate", {"model": "tiny-bert", "prompt": "x"})))
    openai = server.post("/v1/embeddings", {"model": "tiny-bert", "input": texts})
    if openai.status != 404:
        equal(200, openai.status, openai.body)
        body = openai.json()
        equal(sum(counts), body["usage"]["prompt_tokens"])
        for i, entry in enumerate(body["data"]):
            equal(i, entry["index"])
            near(batch["embeddings"][i], entry["embedding"], "/v1/embeddings")


POOL_CLS, POOL_RANK = 2, 4


def reranking(server):
    width = GgufFile.read(BERT).keys["bert.embedding_length"][1]
    head = random_values(random.Random(3), width, 1)
    words, model = make_bert(server.folder / "rank.gguf", POOL_RANK, head)
    dense, bias = (array.array("f", model.tensors["cls." + part][2]) for part in ("weight", "bias"))
    make_bert(server.folder / "cls.gguf", POOL_CLS)
    create(server, "ranker", files={"rank.gguf": upload(server, server.folder / "rank.gguf")})
    query, documents = "the cat", ["dog sat", "mat", "the cat sat on the mat", "slept well and ran"]

    def score(document):
        """What the head says of the first position of [CLS] query [SEP] document [SEP]."""
        def ids_of(text):
            return [words.index("\u2581" + word) for word in text.split()]
        (server.folder / "ids").write_text(" ".join(map(str, [2, *ids_of(query), 3, *ids_of(document), 3])))
        code, _, problem = server.run("eval", "embedding", str(server.folder / "cls.gguf"), "--tokens-file",
                                      str(server.folder / "ids"), "--backend", "reference", "--out",
                                      str(server.folder / "out.f32"))
        equal(0, code, problem)
        first = array.array("f", (server.folder / "out.f32").read_bytes())
        hidden = [math.tanh(bias[row] + sum(a * b for a, b in zip(first, dense[row * width:(row + 1) * width])))
                  for row in range(width)]
        return 0.5 + sum(a * b for a, b in zip(hidden, head))

    scores = [score(document) for document in documents]
    order = sorted(range(len(documents)), key=lambda i: -scores[i])
    for path in ("/api/rerank", "/v1/rerank"):
        reply = server.post(path, {"model": "ranker", "query": query, "documents": documents})
        equal(200, reply.status, reply.body)
        results = reply.json()["results"]
        equal(order, [result["index"] for result in results])
        near([scores[i] for i in order], [result["relevance_score"] for result in results], path)
        best = server.post(path, {"model": "ranker", "query": query, "documents": documents, "top_n": 1,
                                  "return_documents": True}).json()["results"]
        equal([documents[order[0]]], [result["document"]["text"] for result in best])
    contains("does not support generate", error_of(server.post("/api/generate", {"model": "ranker", "prompt": "x"})))


# --- an encoder and a decoder


def make_t5(path):
    """The weights of a recorded model with a Unigram vocabulary of as many tokens."""
    model = oracle("t5-dense")
    count = model.tensors["token_embd.weight"][0][1]
    words = ["<pad>", "</s>", "<unk>"] + ["\u2581" + word for word in "translate English to German the house is old".split()]
    words += ["\u2581", ":", "."] + list("abcdefghijklmnopqrstuvwxyz")
    words += ["\u2581w" + str(i) for i in range(count - len(words))]
    model.keys.update({
        "tokenizer.ggml.model": (STRING, "t5"), "tokenizer.ggml.tokens": (ARRAY, (STRING, words)),
        "tokenizer.ggml.scores": (ARRAY, (FLOAT32, [-float(len(words) - len(word)) for word in words])),
        "tokenizer.ggml.token_type": (ARRAY, (INT32, [3, 3, 2] + [1] * (count - 3))),
        "tokenizer.ggml.padding_token_id": (UINT32, 0), "tokenizer.ggml.eos_token_id": (UINT32, 1),
        "tokenizer.ggml.unknown_token_id": (UINT32, 2), "tokenizer.ggml.add_bos_token": (BOOL, False),
        "tokenizer.ggml.add_eos_token": (BOOL, True), "t5.decoder_start_token_id": (UINT32, 0)})
    model.write(path)


def encoder_decoder(server):
    make_t5(server.folder / "t5.gguf")
    create(server, "tiny-t5", files={"t5.gguf": upload(server, server.folder / "t5.gguf")})
    contains("completion", server.post("/api/show", {"model": "tiny-t5"}).json()["capabilities"])
    prompts = ["translate English to German: the house is old.", "the old house", "is"]

    def generate(prompt):
        reply = server.post("/api/generate", {"model": "tiny-t5", "prompt": prompt, "stream": False, "options": GREEDY})
        equal(200, reply.status, reply.body)
        return reply.json()

    alone = [generate(prompt) for prompt in prompts]
    for answer in alone:
        contains(answer["done_reason"], ("stop", "length"))
        if answer["done_reason"] == "length":
            equal(GREEDY["num_predict"], answer["eval_count"])
    if len({answer["response"] for answer in alone}) < 2:
        raise AssertionError(f"the prompts change nothing: {alone!r}")
    # The text, of "the" each letter; not its end and what the decoder begins with, which no client sends.
    equal(5, alone[1]["prompt_eval_count"])
    together = {}
    threads = [threading.Thread(target=lambda p=prompt: together.__setitem__(p, generate(p)["response"])) for prompt in prompts * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal({prompt: answer["response"] for prompt, answer in zip(prompts, alone)}, together, "answers beside others")
    message = {"model": "tiny-t5", "messages": [{"role": "user", "content": prompts[1]}]}
    lines = server.post("/api/chat", dict(message, options=GREEDY)).lines()
    equal(True, lines[-1]["done"])
    counted = server.post("/v1/messages/count_tokens", message).json()["input_tokens"]
    equal(lines[-1]["prompt_eval_count"], counted, "told before and after")
    events = server.post("/v1/messages", dict(message, max_tokens=3, stream=True)).named_events()
    equal([counted, counted], [dict(data.get("message", data))["usage"]["input_tokens"] for name, data in events
                               if name in ("message_start", "message_delta")])
    contains("has no logprobs", server.post("/v1/completions", {
        "model": "tiny-t5", "prompt": prompts[1], "echo": True, "logprobs": 0}).json()["error"]["message"])
    contains("the encoder reads it at once", error_of(server.post("/api/generate", {
        "model": "tiny-t5", "prompt": "house " * 4000, "stream": False, "truncate": False})))


# --- the same network in other files


def logits(server, path):
    """Of 48 tokens, from the reference backend."""
    ids, out = server.folder / "ids", server.folder / "logits.f32"
    ids.write_text(" ".join(str(i * 7 % 128) for i in range(48)))
    code, _, problem = server.run("eval", "logits", str(path), "--tokens-file", str(ids), "--out", str(out),
                                  "--backend", "reference", "--kv-type", "f32")
    equal(0, code, problem)
    return array.array("f", out.read_bytes())


def oracle(name):
    return GgufFile.read(ROOT / "tests" / "data" / "oracles" / f"{name}.gguf")


def layouts(server):
    """Logits of a file, and of one that says the same in another way, are equal to the last bit."""
    def same(what, plain, other):
        plain.write(server.folder / "plain.gguf")
        other.write(server.folder / "other.gguf")
        equal(logits(server, server.folder / "plain.gguf"), logits(server, server.folder / "other.gguf"), what)

    def rename(file, old, new):
        """Another architecture's name."""
        out = GgufFile(tensors=file.tensors)
        for key, entry in file.keys.items():
            out.keys[new + key[len(old):] if key.startswith(old + ".") else key] = entry
        out.keys["general.architecture"] = (STRING, new)
        return out

    plain = oracle("llama-moe")
    for alignment in (8, 64, 4096):
        same(f"alignment {alignment}", plain,
             GgufFile(dict(plain.keys, **{"general.alignment": (UINT32, alignment)}), plain.tensors))

    more = GgufFile(plain.keys, plain.tensors)
    more.keys.update({"llama.unheard.of": (FLOAT32, 3.5), "custom": (ARRAY, (STRING, ["a", "b"])),
                      "llama.vision.block_count": (UINT32, 7)})
    for name in ("v.blk.0.attn_q.weight", "v.patch_embd.weight", "mm.0.bias", "mm.input_projection.weight",
                 "a.blk.0.ffn_up.weight", "blk.77.attn_q.weight", "rotary.inv_freq"):
        more.set_f32(name, [3, 5], [float(i) for i in range(15)])
    same("unknown keys and tensors", plain, more)

    tied, untied = oracle("qwen3-dense"), oracle("qwen3-dense")
    tied.tensors.pop("output.weight")
    untied.tensors["output.weight"] = untied.tensors["token_embd.weight"]
    same("tied output", untied, tied)

    same("gptoss", oracle("gpt-oss-moe-yarn"), rename(oracle("gpt-oss-moe-yarn"), "gpt-oss", "gptoss"))
    same("qwen3vl", oracle("qwen3-dense"), rename(oracle("qwen3-dense"), "qwen3", "qwen3vl"))
    seeing = rename(oracle("qwen3-dense"), "qwen3", "qwen25vl")
    seeing.keys["qwen25vl.rope.mrope_section"] = (ARRAY, (INT32, [2, 1, 1]))
    for name in ("v.blk.0.attn_q.weight", "v.patch_embd_0.weight", "mm.0.weight"):
        seeing.set_f32(name, [3, 5], [float(i) for i in range(15)])
    same("qwen25vl with its pictures", rename(oracle("qwen3-dense"), "qwen3", "qwen2"), seeing)
    pictures = oracle("gemma3-dense")
    base = GgufFile(dict(pictures.keys, **{"gemma3.rope.freq_base": (FLOAT32, 5e5), "gemma3.rope.freq_base_swa": (FLOAT32, 5e3)}),
                    pictures.tensors)
    pictures.keys.update({"gemma3.mm.tokens_per_image": (UINT32, 256), "gemma3.rope.global.freq_base": (FLOAT32, 5e5),
                          "gemma3.rope.local.freq_base": (FLOAT32, 5e3)})
    pictures.keys["gemma3.vocab_size"] = (UINT32, 130)
    same("gemma3 with pictures", base, pictures)

    # Expert weights of 4 bits in the order of nibbles that is published, and in the one of early files.
    published, early = oracle("gpt-oss-moe-yarn"), rename(oracle("gpt-oss-moe-yarn"), "gpt-oss", "gptoss")
    generator = random.Random(3)
    for name, (dims, _, _) in list(published.tensors.items()):
        if "ffn_gate_exps.weight" not in name and "ffn_up_exps.weight" not in name:
            continue
        interleaved, in_order = b"", b""
        for _ in range(dims[0] * dims[1] * dims[2] // 32):
            scale, values = bytes([generator.randrange(120, 124)]), [generator.randrange(16) for _ in range(32)]
            interleaved += scale + bytes(values[i] | values[i + 16] << 4 for i in range(16))
            in_order += scale + bytes(values[2 * i] | values[2 * i + 1] << 4 for i in range(16))
        published.tensors[name] = (dims, 39, interleaved)
        early.tensors[name] = (dims, 4, in_order)
    same("MXFP4 under its old number", published, early)


def split_files(server):
    plain = oracle("llama-moe")
    plain.write(server.folder / "plain.gguf")
    names = list(plain.tensors)
    folder = server.folder / "split"
    folder.mkdir()
    for i in range(3):
        part = GgufFile(plain.keys if i == 0 else {}, {name: plain.tensors[name] for name in names[i::3]})
        part.keys.update({"split.no": (UINT16, i), "split.count": (UINT16, 3), "split.tensors.count": (INT32, len(names))})
        part.write(folder / f"model-{i + 1:05}-of-00003.gguf")
    equal(logits(server, server.folder / "plain.gguf"), logits(server, folder / "model-00001-of-00003.gguf"))
    (folder / "model-00002-of-00003.gguf").unlink()
    code, _, problem = server.run("eval", "logits", str(folder / "model-00001-of-00003.gguf"), "--tokens-file",
                                  str(server.folder / "ids"), "--out", str(server.folder / "logits.f32"))
    equal(1, code)
    contains("model-00002-of-00003.gguf", problem)


# --- files that are no good


def bad_files(server):
    """Each is one clear error that names the thing, and the server goes on."""
    good = GgufFile.read(MINI)
    name = "blk.0.attn_q.weight"

    def drop(tensor):
        return lambda file: file.tensors.pop(tensor)

    def put(key, kind, value):
        return lambda file: file.keys.update({key: (kind, value)})

    def shorten(tensor):
        def bend(file):
            dims, kind, content = file.tensors[tensor]
            file.tensors[tensor] = ([dims[0], dims[1] - 1], kind, content[:row_bytes(kind, dims[0]) * (dims[1] - 1)])
        return bend

    def retype(file):
        dims, _, content = file.tensors[name]
        file.tensors[name] = (dims, 24, content[:dims[0] * dims[1]])  # int8

    cases = [
        ("an unknown architecture", put("general.architecture", STRING, "eliza"), ["eliza"]),
        ("a missing tensor", drop(name), [name, "missing"]),
        ("a tensor of another shape", shorten(name), [name, "shape"]),
        ("a tensor of integers", retype, [name, "type"]),
        ("no heads", put("llama.attention.head_count", UINT32, 0), ["llama.attention.head_count", "0"]),
        ("heads that do not divide", put("llama.attention.head_count_kv", UINT32, 3), ["llama.attention.head_count"]),
        ("a negative size", put("llama.feed_forward_length", INT32, -5), ["llama.feed_forward_length", "-5"]),
        ("a huge size", put("llama.embedding_length", UINT32, 2**31), ["llama.embedding_length"]),
        ("another tokenizer", put("tokenizer.ggml.model", STRING, "runes"), ["tokenizer.ggml.model", "runes"]),
        ("another vocabulary", shorten("token_embd.weight"), ["token_embd.weight", "shape"]),
    ]
    for number, (what, bend, words) in enumerate(cases):
        file = GgufFile(good.keys, good.tensors)
        bend(file)
        path = server.folder / f"bad{number}.gguf"
        file.write(path)
        create(server, f"bad{number}", files={"bad.gguf": upload(server, path)})
        problem = error_of(server.post("/api/generate", {"model": f"bad{number}", "prompt": "x", "raw": True, "stream": False}))
        for word in words:
            contains(word, problem)
        print(f"  {what}: {problem}")
        ask(server, "mini")
    (server.folder / "big-endian.gguf").write_bytes(b"GGUF" + (3).to_bytes(4, "big") + bytes(64))
    reply = server.post("/api/create", {"model": "x", "stream": False,
                                        "files": {"big.gguf": upload(server, server.folder / "big-endian.gguf")}})
    contains("big-endian", error_of(reply))
    ask(server, "mini")


if __name__ == "__main__":
    main((Server, (adapters, adapters_that_do_not_fit, embeddings, reranking, encoder_decoder, layouts, split_files, bad_files)))
