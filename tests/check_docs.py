#!/usr/bin/env python3
"""Do the pages about commands and settings say what the program says?"""
import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
failures = 0


def report(name, problems):
    global failures
    if problems:
        failures += 1
        print(f"fail {name}: {'; '.join(problems)}")
    else:
        print(f"ok {name}")


def output(binary, *arguments):
    done = subprocess.run([str(binary), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return done.stdout.decode()


def subcommands(help_text):
    """The first words of the lines below "Subcommands:"."""
    _, _, below = help_text.partition("Subcommands:\n")
    return re.findall(r"^  ([a-z]+)", below, re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--all", action="store_true")
    binary = parser.parse_args().build / "bin" / "puna"
    if not binary.exists():
        print(f"skip docs: {binary} is not built")
        return
    settings = ROOT / "docs" / "settings.md"
    same = settings.exists() and settings.read_text() == output(binary, "serve", "--settings-markdown")
    report("docs/settings.md is what the program prints",
           [] if same else ["run: build/release/bin/puna serve --settings-markdown > docs/settings.md"])
    page = (ROOT / "docs" / "cli.md").read_text()
    commands = subcommands(output(binary, "--help"))
    report("docs/cli.md names every command",
           [f"puna {name} is missing" for name in commands if f"`puna {name}" not in page] +
           ([] if len(commands) > 5 else [f"only {len(commands)} commands found in puna --help"]))
    tools = subcommands(output(binary, "eval", "--help"))
    report("docs/cli.md names every tool of eval",
           [f"puna eval {name} is missing" for name in tools if f"puna eval {name}" not in page] +
           ([] if len(tools) > 3 else [f"only {len(tools)} tools found in puna eval --help"]))
    missing = []
    for name in commands:
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", output(binary, name, "--help"))) - {"--help"}:
            if name in ("run", "show") and option not in page:
                missing.append(f"puna {name} {option} is missing")
    report("docs/cli.md names every option of run and show", sorted(missing))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
