"""Trains the tokenizer on out/corpus.jsonl and writes vocabulary.json.

    python3 training/make_vocabulary.py

The file is kept in the repository: a corpus that changes a little can keep its tokenizer, and then training can go on from an
older checkpoint. Run this only for a training from nothing.
"""
import json
import os

import bpe
import network

HERE = os.path.dirname(os.path.abspath(__file__))
CHATS = 60000


def main():
    texts = ["user\n", "assistant\n", "system\n"] * 1000
    with open(os.path.join(HERE, "out", "corpus.jsonl"), encoding="utf-8") as file:
        for _, line in zip(range(CHATS), file):
            texts += [message["content"] for message in json.loads(line)]
    merges = bpe.train(texts, network.Shape().vocab - 256 - len(bpe.CONTROL))
    tokenizer = bpe.Tokenizer(merges)
    tokenizer.save(os.path.join(HERE, "vocabulary.json"))
    ids = sum(len(tokenizer.encode(text)) for text in texts)
    print(f"{len(tokenizer.tokens)} tokens; {sum(map(len, texts)) / ids:.2f} characters a token")


if __name__ == "__main__":
    main()
