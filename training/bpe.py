"""Byte-level BPE as GPT-2 defines it: training, encoding, decoding, and the file vocabulary.json.

The pre-tokenizer is GPT-2's pattern, with Python's classes in place of \\p{L} and \\p{N}: the two agree on the text of this corpus.
"""
import collections
import json
import re

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPLIT = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


def byte_alphabet():
    """byte -> the printable character that stands for it in a GPT-2 vocabulary."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, extra = {byte: chr(byte) for byte in printable}, 0
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


BYTE_TO_CHAR = byte_alphabet()
CHAR_TO_BYTE = {char: byte for byte, char in BYTE_TO_CHAR.items()}


def to_chars(text):
    return "".join(BYTE_TO_CHAR[byte] for byte in text.encode("utf-8"))


def train(texts, merge_count):
    """The `merge_count` merges of the most frequent neighbours; ties go to the smaller pair, so that it is repeatable."""
    counts = collections.Counter(word for text in texts for word in SPLIT.findall(text))
    words = [list(to_chars(word)) for word in counts]
    weights = list(counts.values())
    pair_counts, where = collections.Counter(), collections.defaultdict(set)
    for index, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pair_counts[pair] += weights[index]
            where[pair].add(index)
    merges = []
    while len(merges) < merge_count:
        best = min(pair_counts.items(), key=lambda item: (-item[1], item[0]))[0]
        merges.append(best)
        for index in list(where[best]):
            word, weight = words[index], weights[index]
            for pair in zip(word, word[1:]):
                pair_counts[pair] -= weight
                if pair_counts[pair] <= 0:
                    del pair_counts[pair]
            words[index] = word = _merge(word, best)
            for pair in zip(word, word[1:]):
                pair_counts[pair] += weight
                where[pair].add(index)
        pair_counts.pop(best, None)
    return merges


def _merge(word, pair):
    out, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and word[i] == pair[0] and word[i + 1] == pair[1]:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(pair) for pair in merges]
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        alphabet = [BYTE_TO_CHAR[byte] for byte in sorted(BYTE_TO_CHAR, key=lambda byte: BYTE_TO_CHAR[byte])]
        self.tokens = alphabet + [left + right for left, right in self.merges] + CONTROL
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self.end_of_text, self.start, self.end = (self.ids[token] for token in CONTROL)
        self.cache = {}

    @staticmethod
    def load(path):
        with open(path, encoding="utf-8") as file:
            return Tokenizer(json.load(file)["merges"])

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"merges": self.merges}, file, ensure_ascii=True)

    def _encode_word(self, word, rng=None, dropout=0.0):
        parts = list(to_chars(word))
        while len(parts) > 1:
            ranked = [(self.ranks[pair], pair) for pair in zip(parts, parts[1:])
                      if pair in self.ranks and not (rng and rng.random() < dropout)]
            if not ranked:
                break
            parts = _merge(parts, min(ranked)[1])
        return [self.ids[part] for part in parts]

    def encode(self, text, rng=None, dropout=0.0):
        """Ids of plain text. With an rng, one word in eight is cut into smaller pieces than need be (BPE dropout)."""
        out = []
        for word in SPLIT.findall(text):
            if rng and rng.random() < 0.125:
                out += self._encode_word(word, rng, dropout)
                continue
            if word not in self.cache:
                self.cache[word] = self._encode_word(word)
            out += self.cache[word]
        return out

    def decode(self, ids):
        chars = "".join(self.tokens[index] for index in ids if index < len(self.tokens) - len(CONTROL))
        return bytes(CHAR_TO_BYTE[char] for char in chars).decode("utf-8", errors="replace")

    def encode_chat(self, messages, rng=None, dropout=0.0):
        """ChatML. Returns ids and, for each id, whether it belongs to an answer (its text and the end mark)."""
        ids, answer = [], []
        for message in messages:
            is_answer = message["role"] == "assistant"
            head = [self.start] + self.encode(message["role"] + "\n")
            body = self.encode(message["content"], None if is_answer else rng, dropout) + [self.end]
            tail = self.encode("\n")
            ids += head + body + tail
            answer += [False] * len(head) + [is_answer] * len(body) + [False] * len(tail)
        return ids, answer

    def encode_prompt(self, messages):
        """The chat so far plus the opening of the answer."""
        return self.encode_chat(messages)[0] + [self.start] + self.encode("assistant\n")
