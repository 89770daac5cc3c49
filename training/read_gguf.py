"""Reads models/mini.gguf back into the network of network.py: an independent check of what export_gguf.py wrote."""
import struct

import numpy as np
import torch

import bpe
import network as net

SIMPLE = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def string(self):
        size = self.take("<Q")
        self.at += size
        return self.data[self.at - size:self.at].decode("utf-8")

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            element, count = self.take("<I"), self.take("<Q")
            return [self.value(element) for _ in range(count)]
        return self.take(SIMPLE[kind])


def read(path):
    """(metadata, {tensor name: float32 array})."""
    with open(path, "rb") as file:
        reader = Reader(file.read())
    assert reader.data[:4] == b"GGUF"
    reader.at = 4
    assert reader.take("<I") == 3
    tensor_count, fact_count = reader.take("<Q"), reader.take("<Q")
    facts = {}
    for _ in range(fact_count):
        key = reader.string()
        facts[key] = reader.value(reader.take("<I"))
    infos = []
    for _ in range(tensor_count):
        name = reader.string()
        dims = [reader.take("<Q") for _ in range(reader.take("<I"))]
        infos.append((name, dims[::-1], reader.take("<I"), reader.take("<Q")))
    start = -(-reader.at // 32) * 32
    arrays = {}
    for name, shape, kind, offset in infos:
        count = int(np.prod(shape))
        if kind == 0:
            arrays[name] = np.frombuffer(reader.data, np.float32, count, start + offset).reshape(shape)
        else:
            assert kind == 8, kind
            blocks = np.frombuffer(reader.data, np.uint8, count // 32 * 34, start + offset).reshape(-1, 34)
            scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
            arrays[name] = (blocks[:, 2:].copy().view(np.int8) * scale).reshape(shape).astype(np.float32)
    return facts, arrays


def load(path):
    """(flat parameters, tokenizer) of a file whose shape is network.Shape."""
    facts, arrays = read(path)
    tokenizer = bpe.Tokenizer([tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]])
    assert tokenizer.tokens == facts["tokenizer.ggml.tokens"]
    shape = net.Shape()
    heads = facts["llama.attention.head_count"]

    def halves(weight):  # pairs (2i, 2i + 1) back to (i, i + half)
        rows, columns = weight.shape
        return weight.reshape(heads, rows // heads // 2, 2, columns).transpose(0, 2, 1, 3).reshape(rows, columns)

    flat = torch.empty(net.parameter_count(shape))
    views = net.views(flat, shape)
    views["embed"].copy_(torch.from_numpy(arrays["token_embd.weight"].copy()))
    for i in range(shape.layers):
        at = lambda part: arrays[f"blk.{i}.{part}.weight"]
        parts = {"qkv": [halves(at("attn_q")), halves(at("attn_k")), at("attn_v")], "out": [at("attn_output")],
                 "gate_up": [at("ffn_gate"), at("ffn_up")], "down": [at("ffn_down")]}
        for name, pieces in parts.items():
            views[f"{i}.{name}"].copy_(torch.from_numpy(np.concatenate(pieces)))
    return flat, tokenizer
