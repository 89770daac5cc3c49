"""Compares what mini was taught with what puna says of itself, so that a stale model is noticed before a user finds out.

    python3 training/check_facts.py build/release/bin/puna

Every `puna COMMAND` and every --flag that an answer of the corpus quotes must be known to `puna --help` or to
`puna COMMAND --help`; the default address and the settings must appear in `puna serve --help`. Exits with 1 and names each difference.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from corpus.build import INTENTS  # noqa: E402

# Commands of which the corpus speaks as of something that may be missing; it is true with and without them.
OPTIONAL = {"pull", "push"}
SETTINGS_FROM_SERVE = re.compile(r"\b(?:PUNA|OLLAMA)_[A-Z_]*[A-Z]\b")
SCRIPTS = re.compile(r"scripts/[a-z]+")


def help_of(puna, *words):
    done = subprocess.run([puna, *words, "--help"], capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr


def quoted_commands(answers):
    """{(command, next word, flags)} of every `puna ...` between backquotes."""
    found = set()
    for answer in answers:
        for code in re.findall(r"`([^`]*)`", answer):
            match = re.search(r"\bpuna ([a-z]+)\b((?: ([a-z]+)\b)?.*)", code)
            if match:
                found.add((match.group(1), match.group(3) or "", tuple(re.findall(r"(?<!\S)--?[a-z][a-z-]*", match.group(2)))))
    return found


def differences(puna):
    answers = [answer for intent in INTENTS for answer in intent.answers]
    main_help, serve_help = help_of(puna), help_of(puna, "serve")
    known = lambda command: re.search(rf"^\s+{command}\b", main_help, re.MULTILINE)
    for command, word, flags in sorted(quoted_commands(answers)):
        if command in OPTIONAL and not known(command):
            continue
        if not known(command) and not (command == "ls" and "list" in main_help):
            yield f"`puna {command}` is not in puna --help"
            continue
        # eval has tools with a help of their own
        command_help = help_of(puna, command) + (help_of(puna, command, word) if command == "eval" and word else "")
        for flag in flags:
            if flag not in command_help:
                yield f"`puna {command} {flag}` is not in puna {command} --help"
    for setting in sorted({name for answer in answers for name in SETTINGS_FROM_SERVE.findall(answer)} - {"OLLAMA_X", "PUNA_X"}):
        bare = setting.split("_", 1)[1]
        if f"OLLAMA_{bare}" not in serve_help and f"PUNA_{bare}" not in serve_help:
            yield f"{setting} is not in puna serve --help"
    if "11434" not in serve_help:
        yield "port 11434 is not in puna serve --help"
    for script in sorted({name for answer in answers for name in SCRIPTS.findall(answer)}):
        if not os.path.exists(os.path.join(HERE, "..", script)):
            yield f"{script} does not exist"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = list(differences(sys.argv[1]))
    for line in found:
        print("STALE:", line)
    print(f"{len(found)} differences between mini and puna")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
