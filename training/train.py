"""Trains mini on out/corpus.jsonl. One thread, bfloat16, a checkpoint every minute; starts again where it stopped, also after SIGTERM.

    python3 training/train.py --minutes 60
"""
import argparse
import ctypes
import json
import math
import os
import random
import signal
import time

import numpy as np
import torch

import bpe
import network as net
import read_gguf

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 20
LONG = 130  # tokens of a chat that is mostly one of several turns: they take time, and two of five are enough
CUT = 6  # tokens kept of a shortened answer; which answer it is has been decided by then
CUT_STORY = 24  # a story has named its hero by then
MUON_RATE, ADAM_RATE = 0.01, 1.2e-3


def encode(line, tokenizer, rng):
    """A line of the corpus as (ids, answer mask), uint16 and bool."""
    ids, answer = tokenizer.encode_chat(json.loads(line), rng, 0.3)
    return np.array(ids, np.uint16), np.array(answer, bool)


def shortened(sample, story_begin, rng):
    """Seven samples of eight end early in their last answer, so that more questions fit into an hour."""
    ids, answer = sample
    begin = len(answer) - 1 - int(np.argmin(answer[-2::-1]))  # the last answer starts here
    if len(ids) - begin > 20 and rng.random() < 0.88:
        cut = begin + (CUT_STORY if ids[begin] == story_begin else CUT)
        return ids[:cut], answer[:cut]
    return sample


def batches(lines, tokenizer, tokens_per_batch, context, rng):
    """Samples of like length together, cut to batches of about tokens_per_batch; padding is at the right."""
    order, story_begin = list(range(len(lines))), tokenizer.encode("Once upon a time")[0]
    rng.shuffle(order)
    for start in range(0, len(order), 4096):
        samples = [encode(lines[i], tokenizer, rng) for i in order[start:start + 4096]]
        samples = [shortened(sample, story_begin, rng) for sample in samples if len(sample[0]) < LONG or rng.random() < 0.4]
        chunk = sorted(range(len(samples)), key=lambda i: len(samples[i][0]))
        groups, group = [], []
        for i in chunk:
            length = min(len(samples[i][0]), context)
            if group and length * (len(group) + 1) > tokens_per_batch:
                groups.append(group)
                group = []
            group.append(i)
        groups.append(group)
        rng.shuffle(groups)
        for group in groups:
            length = min(max(len(samples[i][0]) for i in group), context)
            ids = np.zeros((len(group), length), np.int64)
            answer = np.zeros((len(group), length), bool)
            for row, i in enumerate(group):
                size = min(length, len(samples[i][0]))
                ids[row, :size] = samples[i][0][:size]
                answer[row, :size] = samples[i][1][:size]
            yield torch.from_numpy(ids), torch.from_numpy(answer)


def orthogonal(stack):
    """Newton-Schulz: pushes the singular values of every matrix of the stack towards one."""
    x = stack / (stack.float().norm(dim=(1, 2), keepdim=True) + 1e-7).to(stack.dtype)
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.transpose(1, 2)
    for _ in range(5):
        square = torch.bmm(x, x.transpose(1, 2))
        polynomial = torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, polynomial, x, beta=3.4445)
    return x if wide else x.transpose(1, 2)


class Optimizer:
    """Muon (orthogonalized momentum) for the matrices, AdamW for the embedding; float32, on one flat vector."""

    def __init__(self, master, shape, weight_decay=0.05):
        self.master, self.shape, self.weight_decay, self.step_count = master, shape, weight_decay, 0
        self.first = torch.zeros_like(master)
        self.second = torch.zeros(shape.vocab * shape.dim)

    def step(self, gradient, rate):
        """`rate` is 1 at the peak of the schedule."""
        self.step_count += 1
        norm = float(gradient.norm())
        self._adam(gradient, ADAM_RATE * rate)
        self.first[len(self.second):].mul_(0.95).add_(gradient[len(self.second):])
        look_ahead = gradient.add(self.first, alpha=0.95)  # Nesterov
        updates, weights = net.views(look_ahead, self.shape), net.views(self.master, self.shape)
        for kind in ("qkv", "out", "gate_up", "down"):
            names = [f"{i}.{kind}" for i in range(self.shape.layers)]
            parts = {"qkv": 3, "gate_up": 2}.get(kind, 1)
            stack = torch.cat([updates[name].view(parts, -1, updates[name].shape[1]) for name in names])
            stack = orthogonal(stack.to(torch.bfloat16)).float()
            size = MUON_RATE * rate * max(1, stack.shape[1] / stack.shape[2]) ** 0.5
            for i, name in enumerate(names):
                weights[name].mul_(1 - MUON_RATE * rate * self.weight_decay)
                weights[name].sub_(stack[i * parts:(i + 1) * parts].reshape(weights[name].shape), alpha=size)
        return norm

    def _adam(self, gradient, rate):
        size = len(self.second)
        gradient, first, second = gradient[:size], self.first[:size], self.second
        first.lerp_(gradient, 0.1)
        second.mul_(0.98).addcmul_(gradient, gradient, value=0.02)
        unbias = math.sqrt(1 - 0.98 ** self.step_count) / (1 - 0.9 ** self.step_count)
        self.master[:size].addcdiv_(first, second.sqrt().add_(1e-9), value=-rate * unbias)


def learning_rate(progress, step, warmup=50):
    """Linear warm-up, flat, then down to a fiftieth over the last 60 percent of the time."""
    down = 1.0 if progress < 0.4 else max(0.02, 1 - (progress - 0.4) / 0.6)
    return min(1.0, (step + 1) / warmup) * down


def keep_freed_memory():
    """Tells glibc not to give big blocks back after each step: faulting them in again costs a tenth of the time."""
    libc = ctypes.CDLL("libc.so.6")
    for option in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
        libc.mallopt(option, 2**31 - 1)


def older_weights(path, tokenizer):
    """The flat parameters of a checkpoint or of an exported file, which must have the same vocabulary."""
    if not path.endswith(".gguf"):
        return torch.load(path)["master"]
    flat, its_tokenizer = read_gguf.load(path)
    assert its_tokenizer.tokens == tokenizer.tokens, "the file has another vocabulary: train from nothing"
    return flat


def main():
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default=os.path.join(HERE, "out", "corpus.jsonl"))
    parser.add_argument("--vocabulary", default=os.path.join(HERE, "vocabulary.json"))
    parser.add_argument("--checkpoint", default=os.path.join(HERE, "out", "checkpoint.pt"))
    parser.add_argument("--minutes", type=float, default=60, help="training time, pauses of the process excluded")
    parser.add_argument("--batch", type=int, default=4096, help="tokens of a step")
    parser.add_argument("--rate", type=float, default=1.0, help="peak of the learning rate, relative; 0.4 to go on from older weights")
    parser.add_argument("--seed", type=int, default=SEED, help="order of the chats")
    parser.add_argument("--partner", help="checkpoint of a run beside this one: now and then each takes the mean of both")
    parser.add_argument("--from-weights", help="start from the weights of this checkpoint or GGUF file, with a fresh optimizer")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    shape, tokenizer = net.Shape(), bpe.Tokenizer.load(arguments.vocabulary)
    assert len(tokenizer.tokens) == shape.vocab
    optimizer = Optimizer(net.initial_parameters(shape, SEED), shape)
    state = {"seconds": 0.0, "tokens": 0, "steps": 0, "epoch": 0}
    if os.path.exists(arguments.checkpoint):
        saved = torch.load(arguments.checkpoint)
        state = saved["state"]
        optimizer.master, optimizer.first, optimizer.second = saved["master"], saved["first"], saved["second"]
        optimizer.step_count = state["steps"]
        print("resumed", state, flush=True)
    elif arguments.from_weights:
        optimizer.master.copy_(older_weights(arguments.from_weights, tokenizer))

    flat = optimizer.master.to(torch.bfloat16)
    gradient = torch.zeros_like(flat)
    network = net.Network(shape, flat)
    for name, weight in net.views(gradient, shape).items():
        network.weights[name].requires_grad_(True)
        network.weights[name].grad = weight

    def share(seen=[0.0]):
        """Two runs on different chats that meet every minute go about as far as one with twice the time."""
        if arguments.partner and os.path.exists(arguments.partner) and os.path.getmtime(arguments.partner) > seen[0]:
            seen[0] = os.path.getmtime(arguments.partner)
            optimizer.master.lerp_(torch.load(arguments.partner)["master"], 0.5)
            flat.copy_(optimizer.master)

    def save():
        torch.save({"state": state, "master": optimizer.master, "first": optimizer.first, "second": optimizer.second},
                   arguments.checkpoint + ".new")
        os.replace(arguments.checkpoint + ".new", arguments.checkpoint)

    with open(arguments.corpus, encoding="utf-8") as file:
        lines = file.readlines()
    last_save = last_print = time.monotonic()
    shown = []
    asked_to_end = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.append(True))
    finished = lambda: asked_to_end or state["seconds"] >= 60 * arguments.minutes
    while not finished():
        for ids, is_answer in batches(lines, tokenizer, arguments.batch, shape.context, random.Random(arguments.seed * 1000 + state["steps"])):
            began = time.monotonic()
            gradient.zero_()
            hidden = network.hidden(ids[:, :-1])
            wanted = is_answer[:, 1:]
            loss = torch.nn.functional.cross_entropy(network.logits(hidden[wanted]).float(), ids[:, 1:][wanted])
            loss.backward()
            rate = arguments.rate * learning_rate(state["seconds"] / (60 * arguments.minutes), state["steps"])
            norm = optimizer.step(gradient.float(), rate)
            flat.copy_(optimizer.master)
            now = time.monotonic()
            state["seconds"] += min(now - began, 5.0)  # a paused process does not use up its minutes
            state["steps"] += 1
            state["tokens"] += ids.numel()
            shown.append(loss.item())
            if now - last_print > 20:
                print(f"step {state['steps']} minutes {state['seconds'] / 60:.1f} tokens {state['tokens'] / 1e6:.2f}M "
                      f"loss {sum(shown) / len(shown):.4f} rate {rate:.2e} norm {norm:.2f}", flush=True)
                last_print, shown = now, []
            if now - last_save > 60:
                save()
                share()
                last_save = now
            if finished():
                break
        state["epoch"] += 1
    save()
    print("done", state, flush=True)


if __name__ == "__main__":
    main()
