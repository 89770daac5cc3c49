"""Trains the tokenizer on out/corpus.jsonl and writes out/vocabulary.json.

    python3 training/make_vocabulary.py
"""
import json
import os

import bpe
import network

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "out")
CHATS = 60000


def main():
    texts = ["user\n", "assistant\n", "system\n"] * 1000
    with open(os.path.join(OUT, "corpus.jsonl"), encoding="utf-8") as file:
        for _, line in zip(range(CHATS), file):
            texts += [message["content"] for message in json.loads(line)]
    merges = bpe.train(texts, network.Shape().vocab - 256 - len(bpe.CONTROL))
    tokenizer = bpe.Tokenizer(merges)
    tokenizer.save(os.path.join(OUT, "vocabulary.json"))
    ids = sum(len(tokenizer.encode(text)) for text in texts)
    print(f"{len(tokenizer.tokens)} tokens; {sum(map(len, texts)) / ids:.2f} characters a token")


if __name__ == "__main__":
    main()
