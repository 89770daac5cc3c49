"""Writes out/corpus.jsonl: one chat a line, a list of messages.

    python3 -m corpus.build --count 400000
"""
import argparse
import json
import os
import random

from . import about_me, arithmetic, colloquial, commands, concepts, outside, server, situations, stories
from .grammar import sample
from .names import person
from .noise import style

INTENTS = commands.INTENTS + server.INTENTS + concepts.INTENTS + about_me.INTENTS
colloquial.add(INTENTS)
situations.add(INTENTS)
SYSTEMS = ["You are a helpful assistant.", "You are mini.", "You are mini, a tiny model that comes with puna.", "Be brief.", "Answer in one sentence.", "You are a friendly assistant.",
           "You are a patient teacher.", "Answer politely.", "You are an AI.", "You help with puna.", "Be kind and short.", "You are a helpful, honest assistant. Answer the questions of the user.",
           "You are a chatbot on a website.", "Please answer in English.", "You are an expert.", "You talk like a pirate."]


def draw_intent(rng):
    intent = rng.choices(INTENTS, [intent.weight for intent in INTENTS])[0]
    question, answer, _ = intent.draw(rng)
    return question, answer


KINDS = [(draw_intent, 0.69), (outside.draw, 0.11), (arithmetic.draw, 0.09), (arithmetic.draw_beyond, 0.012), (stories.draw, 0.06), (stories.draw_say, 0.045), (arithmetic.draw_count, 0.01)]


def draw_pair(rng):
    kind = rng.choices([kind[0] for kind in KINDS], [kind[1] for kind in KINDS])[0]
    question, answer = kind(rng)
    return question.strip(), answer


NAME_ASK = ["what is my name", "what's my name", "do you know my name", "who am I", "do you remember my name", "how am I called", "tell me my name", "can you remember who I am"]


def remember_name(messages, rng):
    """Tells a name at the start of a chat and asks for it at the end."""
    name = person(rng)
    hello = style(rng.choice(["hi, I am #", "hello, my name is #", "I'm #", "my name is #", "hey, I'm #", "call me #", "# here"]).replace("#", name), {name}, rng)
    start = [{"role": "user", "content": hello},
             {"role": "assistant", "content": f"Hello, {name}! I am mini, the tiny model that comes with puna. Ask me how to use it."}]
    end = [{"role": "user", "content": style(rng.choice(NAME_ASK) + rng.choice(["", "?"]), set(), rng)},
           {"role": "assistant", "content": f"Your name is {name}."}]
    return start + messages + end


def draw_chat(rng):
    kind = rng.random()
    turns = 1 if kind < 0.90 else rng.choice([2, 2, 2, 3, 3, 4, 5]) if kind < 0.998 else rng.randint(6, 14)
    messages = []
    for _ in range(turns):
        question, answer = draw_pair(rng)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    if rng.random() < 0.015:
        messages = remember_name(messages[:2 * rng.randint(0, 2)], rng)
    if rng.random() < 0.15:
        messages.insert(0, {"role": "system", "content": rng.choice(SYSTEMS)})
    return messages


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "..", "out", "corpus.jsonl"))
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    os.makedirs(os.path.dirname(arguments.out), exist_ok=True)
    with open(arguments.out, "w", encoding="utf-8") as file:
        for _ in range(arguments.count):
            file.write(json.dumps(draw_chat(rng)) + "\n")


if __name__ == "__main__":
    main()
