"""The llama network, written so that a CPU with bfloat16 matrix units trains it quickly.

Weights, activations and gradients are bfloat16; the optimizer keeps float32 copies. RMS norm has no gain while training
(a gain can always be folded into the next matrix; the exported file has gains of one). Rotary pairs are (i, i + size/2)
here and neighbours in the file: export_gguf.py reorders the rows of wq and wk.
"""
import math
from dataclasses import dataclass

import torch

F = torch.nn.functional


@dataclass
class Shape:
    vocab: int = 2048
    dim: int = 256
    layers: int = 4
    heads: int = 4
    ffn: int = 768
    context: int = 1024
    rope_base: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.dim // self.heads


def parameter_shapes(shape):
    """name -> (rows, columns), in the order of the flat parameter vector."""
    shapes = {"embed": (shape.vocab, shape.dim)}
    for i in range(shape.layers):
        shapes[f"{i}.qkv"] = (3 * shape.dim, shape.dim)
        shapes[f"{i}.out"] = (shape.dim, shape.dim)
        shapes[f"{i}.gate_up"] = (2 * shape.ffn, shape.dim)
        shapes[f"{i}.down"] = (shape.dim, shape.ffn)
    return shapes


def views(flat, shape):
    out, at = {}, 0
    for name, (rows, columns) in parameter_shapes(shape).items():
        out[name] = flat[at:at + rows * columns].view(rows, columns)
        at += rows * columns
    return out


def parameter_count(shape):
    return sum(rows * columns for rows, columns in parameter_shapes(shape).values())


def initial_parameters(shape, seed):
    torch.manual_seed(seed)
    flat = torch.empty(parameter_count(shape))
    for name, weight in views(flat, shape).items():
        std = 0.02 if name == "embed" else 1 / math.sqrt(weight.shape[1])
        if name.endswith((".out", ".down")):
            std /= math.sqrt(2 * shape.layers)
        weight.normal_(0, std)
    return flat


class RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, eps):
        size = x.shape[-1]
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(norm * norm / size + eps).to(x.dtype)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx, dy):
        y, scale = ctx.saved_tensors
        mean = (dy * y).mean(-1, keepdim=True)
        return torch.addcmul(dy, y, mean, value=-1) * scale, None


class Rotate(torch.autograd.Function):
    """x: [..., tokens, heads, head_dim]; cos and sin: [tokens, 1, head_dim / 2]."""

    @staticmethod
    def turn(x, cos, sin):
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        return Rotate.turn(x, cos, sin)

    @staticmethod
    def backward(ctx, dy):
        cos, sin = ctx.saved_tensors
        return Rotate.turn(dy, cos, -sin), None, None


class GatedSilu(torch.autograd.Function):
    """silu(gate) * up for x = [gate, up]. By hand, because torch's bfloat16 silu is five times slower than its parts."""

    @staticmethod
    def forward(ctx, x):
        gate, up = x.chunk(2, -1)
        sigmoid = torch.sigmoid(gate)
        silu = gate * sigmoid
        ctx.save_for_backward(sigmoid, silu, up)
        return silu * up

    @staticmethod
    def backward(ctx, dy):
        sigmoid, silu, up = ctx.saved_tensors
        out = torch.empty(*dy.shape[:-1], 2 * dy.shape[-1], dtype=dy.dtype)
        dgate, dup = out.chunk(2, -1)
        torch.mul(dy, silu, out=dup)
        slope = torch.addcmul(sigmoid + silu, sigmoid, silu, value=-1)  # s + g s (1 - s)
        torch.mul(slope.mul_(up), dy, out=dgate)
        return out


def rope_tables(shape, dtype):
    half = shape.head_dim // 2
    frequencies = shape.rope_base ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(shape.context, dtype=torch.float64)[:, None] * frequencies
    return angles.cos().to(dtype)[:, None], angles.sin().to(dtype)[:, None]


class Network:
    def __init__(self, shape, flat):
        self.shape, self.weights = shape, views(flat, shape)
        self.cos, self.sin = rope_tables(shape, flat.dtype)
        full = torch.full((shape.context, shape.context), -1e9, dtype=flat.dtype)
        self.mask = torch.triu(full, 1)

    def attention(self, x, i):
        batch, tokens, dim = x.shape
        heads, size = self.shape.heads, self.shape.head_dim
        qkv = F.linear(x, self.weights[f"{i}.qkv"]).view(batch, tokens, 3 * heads, size)
        qk, v = qkv.split((2 * heads, heads), 2)
        q, k = Rotate.apply(qk, self.cos[:tokens], self.sin[:tokens]).split(heads, 2)
        q, k, v = (part.transpose(1, 2).reshape(batch * heads, tokens, size) for part in (q, k, v))
        scores = torch.baddbmm(self.mask[:tokens, :tokens], q, k.transpose(1, 2), alpha=size ** -0.5)
        mixed = torch.bmm(torch.softmax(scores, -1), v)
        mixed = mixed.view(batch, heads, tokens, size).transpose(1, 2).reshape(batch, tokens, dim)
        return F.linear(mixed, self.weights[f"{i}.out"])

    def feed_forward(self, x, i):
        return F.linear(GatedSilu.apply(F.linear(x, self.weights[f"{i}.gate_up"])), self.weights[f"{i}.down"])

    def hidden(self, ids):
        """ids: [batch, tokens] -> [batch, tokens, dim], ready for the output matrix."""
        x = F.embedding(ids, self.weights["embed"])
        for i in range(self.shape.layers):
            x = x + self.attention(RmsNorm.apply(x, self.shape.eps), i)
            x = x + self.feed_forward(RmsNorm.apply(x, self.shape.eps), i)
        return RmsNorm.apply(x, self.shape.eps)

    def logits(self, hidden):
        return F.linear(hidden, self.weights["embed"])


def answer(network, tokenizer, messages, limit=200):
    """The greedy answer to a chat."""
    ids = tokenizer.encode_prompt(messages)
    prompt = len(ids)
    with torch.no_grad():
        while len(ids) - prompt < limit and len(ids) < network.shape.context:
            row = network.logits(network.hidden(torch.tensor([ids]))[:, -1])
            token = int(row.argmax())
            if token in (tokenizer.end, tokenizer.end_of_text):
                break
            ids.append(token)
    return tokenizer.decode(ids[prompt:])
