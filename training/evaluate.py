"""Asks mini the questions of questions.json and scores the answers by their facts.

    python3 training/evaluate.py --torch training/out/checkpoint.pt          the float32 weights
    python3 training/evaluate.py --gguf models/mini.gguf                     the file, computed by torch
    python3 training/evaluate.py --server http://127.0.0.1:11434 --model mini   through puna, at temperature 0

A rule is easy to read: every pattern of "all" must occur in the answer and none of "none" may (regular expressions, case
ignored). Exits with 1 if fewer answers are right than --at-least.
"""
import argparse
import json
import os
import re
import sys
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


def is_right(answer, question):
    found = lambda pattern: re.search(pattern, answer, re.IGNORECASE | re.DOTALL)
    return all(map(found, question["all"])) and not any(map(found, question.get("none", [])))


def ask_server(address, model):
    def ask(messages):
        body = {"model": model, "messages": messages, "stream": False, "options": {"temperature": 0, "num_predict": 200}}
        request = urllib.request.Request(address.rstrip("/") + "/api/chat", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)["message"]["content"]
    return ask


def ask_torch(flat, tokenizer):
    import torch
    import network as net
    torch.set_num_threads(1)
    network = net.Network(net.Shape(), flat)
    return lambda messages: net.answer(network, tokenizer, messages)


def ask_checkpoint(path, vocabulary):
    import bpe
    import torch
    return ask_torch(torch.load(path)["master"], bpe.Tokenizer.load(vocabulary))


def ask_gguf(path):
    import read_gguf
    return ask_torch(*read_gguf.load(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--server", help="address of a running puna")
    who.add_argument("--torch", help="checkpoint of train.py")
    who.add_argument("--gguf", help="exported file")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--vocabulary", default=os.path.join(HERE, "vocabulary.json"))
    parser.add_argument("--questions", default=os.path.join(HERE, "questions.json"))
    parser.add_argument("--at-least", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print right answers too")
    arguments = parser.parse_args()
    with open(arguments.questions, encoding="utf-8") as file:
        questions = json.load(file)["questions"]
    if arguments.server:
        ask = ask_server(arguments.server, arguments.model)
    elif arguments.torch:
        ask = ask_checkpoint(arguments.torch, arguments.vocabulary)
    else:
        ask = ask_gguf(arguments.gguf)
    right = 0
    for question in questions:
        answer = ask([{"role": "user", "content": question["ask"]}])
        good = is_right(answer, question)
        right += good
        if arguments.verbose or not good:
            print(f"{'right' if good else 'WRONG'} {question['id']}: {question['ask']}\n      -> {answer}")
    print(f"{right} of {len(questions)} right")
    sys.exit(right < arguments.at_least)


if __name__ == "__main__":
    main()
