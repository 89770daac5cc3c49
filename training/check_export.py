"""Checks that models/mini.gguf says what the float32 checkpoint says, and that its pieces are as GGUF wants them.

    python3 training/check_export.py

1. The tensors read back from the file are the checkpoint's to within half a step of Q8_0.
2. Greedy answers of the file's Q8_0 weights equal those of the float32 weights.
3. A plain NumPy llama in float32, with the rotary pairs of the file (2i, 2i + 1), gives the same logits as network.py.
"""
import argparse
import json
import os

import numpy as np
import torch

import bpe
import export_gguf
import network as net
import read_gguf

HERE = os.path.dirname(os.path.abspath(__file__))


def numpy_logits(facts, arrays, ids):
    """[tokens, vocab] by the textbook, from the file's own tensors and metadata."""
    heads, eps = facts["llama.attention.head_count"], facts["llama.attention.layer_norm_rms_epsilon"]
    size = facts["llama.embedding_length"] // heads
    norm = lambda x, gain: x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * gain
    angles = np.arange(len(ids))[:, None] * facts["llama.rope.freq_base"] ** (-np.arange(0, size, 2) / size)
    turn = np.exp(1j * angles)[:, None]

    def rotate(x):
        pairs = x.reshape(len(ids), heads, size // 2, 2)
        turned = (pairs[..., 0] + 1j * pairs[..., 1]) * turn
        return np.stack((turned.real, turned.imag), -1).reshape(len(ids), heads, size)

    x = arrays["token_embd.weight"][ids].astype(np.float64)
    future = np.triu(np.full((len(ids), len(ids)), -np.inf), 1)
    for i in range(facts["llama.block_count"]):
        at = lambda part: arrays[f"blk.{i}.{part}.weight"].astype(np.float64)
        h = norm(x, at("attn_norm"))
        q, k = (rotate(h @ at(part).T) for part in ("attn_q", "attn_k"))
        v = (h @ at("attn_v").T).reshape(len(ids), heads, size)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size) + future
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", weights, v).reshape(len(ids), -1) @ at("attn_output").T
        h = norm(x, at("ffn_norm"))
        gate = h @ at("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ at("ffn_up").T)) @ at("ffn_down").T
    return norm(x, arrays["output_norm.weight"]) @ arrays["token_embd.weight"].T


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", default=os.path.join(HERE, "..", "models", "mini.gguf"))
    parser.add_argument("--checkpoint", nargs="+", default=[os.path.join(HERE, "out", "checkpoint.pt")])
    parser.add_argument("--questions", default=os.path.join(HERE, "questions.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shape = net.Shape()
    exact = export_gguf.mean_of(arguments.checkpoint)
    rounded, tokenizer = read_gguf.load(arguments.gguf)

    for name, weight in net.views(exact, shape).items():
        blocks = weight.reshape(-1, 32)
        step = blocks.abs().max(1, keepdim=True).values / 127
        error = (net.views(rounded, shape)[name].reshape(-1, 32) - blocks).abs()
        assert (error <= step * 0.51 + blocks.abs() * 1e-3 + 1e-7).all(), name
    print("tensors: within half a step of Q8_0")

    facts, arrays = read_gguf.read(arguments.gguf)
    ids = tokenizer.encode_prompt([{"role": "user", "content": "How do I import a GGUF file?"}])
    with torch.no_grad():
        network = net.Network(shape, rounded)
        logits = network.logits(network.hidden(torch.tensor([ids])))[0].double().numpy()
    difference = np.abs(numpy_logits(facts, arrays, ids) - logits).max()
    assert difference < 1e-3, difference
    print(f"logits: NumPy from the file and network.py differ by {difference:.1e}")

    with open(arguments.questions, encoding="utf-8") as file:
        questions = [question["ask"] for question in json.load(file)["questions"]]
    networks = [net.Network(shape, flat) for flat in (exact, rounded)]
    same = 0
    for question in questions:
        first, second = (net.answer(network, tokenizer, [{"role": "user", "content": question}]) for network in networks)
        same += first == second
        if first != second:
            print(f"differs: {question}\n  float32: {first}\n  Q8_0:    {second}")
    print(f"answers: {same} of {len(questions)} the same in Q8_0 as in float32")


if __name__ == "__main__":
    main()
