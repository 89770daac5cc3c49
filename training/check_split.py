"""Makes sure that no question of questions.json is in the training text, nor one that differs only in form.

    python3 training/check_split.py

Two forms are compared with every question of the corpus: the bare one (lower case, no punctuation), and the bag of its content
words (no function words, sorted), which sees through word order and politeness. The nearest training question is shown for
each, so that a reader can judge the distance.
"""
import argparse
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FUNCTION_WORDS = set("""a an the to of in on for with do does did i my me is are it that this can could would will be at from there
and so how what which please you your by or we us am have has had should must may need want like s t m d ll ve re""".split())


def bare(text):
    return " ".join(re.findall(r"[a-z0-9_/.~:+*-]*[a-z0-9_]", text.lower().replace("'", " ")))


def bag(text):
    return tuple(sorted(set(bare(text).split()) - FUNCTION_WORDS))


def overlap(left, right):
    left, right = set(left), set(right)
    return len(left & right) / max(1, len(left | right))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default=os.path.join(HERE, "out", "corpus.jsonl"))
    parser.add_argument("--questions", default=os.path.join(HERE, "questions.json"))
    parser.add_argument("--nearest", action="store_true", help="show the nearest training question of each (slow)")
    arguments = parser.parse_args()
    with open(arguments.questions, encoding="utf-8") as file:
        questions = [question["ask"] for question in json.load(file)["questions"]]
    seen = set()
    with open(arguments.corpus, encoding="utf-8") as file:
        for line in file:
            seen.update(message["content"] for message in json.loads(line) if message["role"] == "user")
    bares, bags = set(map(bare, seen)), {}
    for text in seen:
        bags.setdefault(bag(text), text)
    bad = 0
    for question in questions:
        if bare(question) in bares:
            print(f"IN THE CORPUS: {question}")
            bad += 1
        elif len(bag(question)) > 2 and bag(question) in bags:
            print(f"SAME CONTENT WORDS: {question}  /  {bags[bag(question)]}")
            bad += 1
        elif arguments.nearest:
            near = max(bags, key=lambda other: overlap(bag(question), other))
            print(f"{overlap(bag(question), near):.2f}  {question}  /  {bags[near]}")
    print(f"{len(questions)} questions, {len(seen)} different training questions, {bad} too near")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
