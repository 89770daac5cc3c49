"""Writes a checkpoint as models/mini.gguf: llama architecture, Q8_0 matrices, float32 norms, tokenizer and template inside.

    python3 training/export_gguf.py
"""
import argparse
import os
import struct

import numpy as np
import torch

import bpe
import network as net

HERE = os.path.dirname(os.path.abspath(__file__))
ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # GGUF value types
TENSOR_F32, TENSOR_Q8_0 = 0, 8
TOKEN_NORMAL, TOKEN_CONTROL = 1, 3

TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
DESCRIPTION = ("A tiny chat model of the puna project, trained from text that the project wrote: for first contact, offline "
               "help and tests. It knows how to use puna, sums up to twenty and very short stories, and nothing else.")


def quantize_q8_0(matrix):
    """Rows of blocks of 32: a float16 scale and 32 int8, as GGUF wants them. Returns uint8 [rows, blocks * 34]."""
    blocks = matrix.astype(np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    scaled = blocks * inverse
    values = (np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))).astype(np.int8)
    return np.concatenate([scale.astype(np.float16).view(np.uint8), values.view(np.uint8)], 1)


def dequantize_q8_0(blocks, shape):
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    return (blocks[:, 2:].view(np.int8).astype(np.float32) * scale).reshape(shape)


def interleave(weight, heads):
    """Rows of each head from the order (i, i + half) to (2i, 2i + 1), which GGUF's llama architecture rotates as a pair."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).transpose(0, 2, 1, 3).reshape(rows, columns)


def tensors(flat, shape):
    """[(GGUF name, float32 array)]; numpy's shape is [rows, columns], GGUF writes columns first."""
    weights = {name: weight.numpy() for name, weight in net.views(flat, shape).items()}
    ones = np.ones(shape.dim, np.float32)
    out = [("token_embd.weight", weights["embed"]), ("output_norm.weight", ones)]
    for i in range(shape.layers):
        q, k, v = np.split(weights[f"{i}.qkv"], 3)
        gate, up = np.split(weights[f"{i}.gate_up"], 2)
        out += [(f"blk.{i}.attn_norm.weight", ones),
                (f"blk.{i}.attn_q.weight", interleave(q, shape.heads)), (f"blk.{i}.attn_k.weight", interleave(k, shape.heads)),
                (f"blk.{i}.attn_v.weight", v), (f"blk.{i}.attn_output.weight", weights[f"{i}.out"]),
                (f"blk.{i}.ffn_norm.weight", ones),
                (f"blk.{i}.ffn_gate.weight", gate), (f"blk.{i}.ffn_up.weight", up), (f"blk.{i}.ffn_down.weight", weights[f"{i}.down"])]
    return out


def metadata(shape, tokenizer):
    """[(key, type, value)]; an array's type is (ARRAY, element type)."""
    token_types = [TOKEN_CONTROL if token in bpe.CONTROL else TOKEN_NORMAL for token in tokenizer.tokens]
    return [
        ("general.architecture", STRING, "llama"),
        ("general.type", STRING, "model"),
        ("general.name", STRING, "mini"),
        ("general.basename", STRING, "mini"),
        ("general.author", STRING, "the puna project"),
        ("general.description", STRING, DESCRIPTION),
        ("general.size_label", STRING, f"{net.parameter_count(shape) / 1e6:.1f}M"),
        ("general.quantization_version", UINT32, 2),
        ("general.file_type", UINT32, 7),
        ("llama.block_count", UINT32, shape.layers),
        ("llama.context_length", UINT32, shape.context),
        ("llama.embedding_length", UINT32, shape.dim),
        ("llama.feed_forward_length", UINT32, shape.ffn),
        ("llama.attention.head_count", UINT32, shape.heads),
        ("llama.attention.head_count_kv", UINT32, shape.heads),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT32, shape.eps),
        ("llama.rope.dimension_count", UINT32, shape.head_dim),
        ("llama.rope.freq_base", FLOAT32, shape.rope_base),
        ("llama.vocab_size", UINT32, shape.vocab),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "gpt-2"),
        ("tokenizer.ggml.tokens", (ARRAY, STRING), tokenizer.tokens),
        ("tokenizer.ggml.token_type", (ARRAY, INT32), token_types),
        ("tokenizer.ggml.merges", (ARRAY, STRING), [f"{left} {right}" for left, right in tokenizer.merges]),
        ("tokenizer.ggml.bos_token_id", UINT32, tokenizer.end_of_text),
        ("tokenizer.ggml.eos_token_id", UINT32, tokenizer.end),
        ("tokenizer.ggml.padding_token_id", UINT32, tokenizer.end_of_text),
        ("tokenizer.ggml.add_bos_token", BOOL, False),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def pack_string(text):
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def pack_value(kind, value):
    if isinstance(kind, tuple):
        return struct.pack("<IQ", kind[1], len(value)) + b"".join(pack_value(kind[1], item) for item in value)
    if kind == STRING:
        return pack_string(value)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def pack(shape, tokenizer, flat):
    """The bytes of the GGUF file."""
    facts = metadata(shape, tokenizer)
    listed = tensors(flat, shape)
    head = [b"GGUF", struct.pack("<IQQ", 3, len(listed), len(facts))]
    for key, kind, value in facts:
        head += [pack_string(key), struct.pack("<I", kind[0] if isinstance(kind, tuple) else kind), pack_value(kind, value)]
    data, offset = [], 0
    for name, array in listed:
        kind, body = (TENSOR_F32, array.tobytes()) if array.ndim == 1 else (TENSOR_Q8_0, quantize_q8_0(array).tobytes())
        dims = array.shape[::-1]
        head += [pack_string(name), struct.pack("<I", len(dims)), struct.pack(f"<{len(dims)}Q", *dims), struct.pack("<IQ", kind, offset)]
        body += b"\0" * (-len(body) % ALIGNMENT)
        data.append(body)
        offset += len(body)
    header = b"".join(head)
    return header + b"\0" * (-len(header) % ALIGNMENT) + b"".join(data)


def quantized_parameters(flat, shape):
    """The flat vector as it comes back from Q8_0."""
    rounded = flat.clone()
    for weight in net.views(rounded, shape).values():
        weight.copy_(torch.from_numpy(dequantize_q8_0(quantize_q8_0(weight.numpy()), weight.shape)))
    return rounded


def mean_of(checkpoints):
    """The flat parameters of a checkpoint, or the mean of several that have a start in common."""
    return torch.stack([torch.load(path)["master"] for path in checkpoints]).mean(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", nargs="+", default=[os.path.join(HERE, "out", "checkpoint.pt")], help="of several, the mean")
    parser.add_argument("--vocabulary", default=os.path.join(HERE, "vocabulary.json"))
    parser.add_argument("--out", default=os.path.join(HERE, "..", "models", "mini.gguf"))
    arguments = parser.parse_args()
    shape, tokenizer = net.Shape(), bpe.Tokenizer.load(arguments.vocabulary)
    data = pack(shape, tokenizer, mean_of(arguments.checkpoint))
    assert len(data) <= 8_000_000, len(data)
    os.makedirs(os.path.dirname(arguments.out), exist_ok=True)
    with open(arguments.out, "wb") as file:
        file.write(data)
    print(f"{arguments.out}: {len(data)} bytes")


if __name__ == "__main__":
    main()
