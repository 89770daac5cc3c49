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


def check_request_walk():
    """Every file and function in the table of ARCHITECTURE.md exists."""
    rows = re.findall(r"^\| \d+ \| `([^`]+)` \| `([^`]+)` \|", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    problems = [] if len(rows) > 10 else [f"only {len(rows)} rows found"]
    for path, function in rows:
        if not (ROOT / path).exists():
            problems.append(f"{path} does not exist")
        elif not re.search(r"\b" + re.escape(function) + r"\(", (ROOT / path).read_text()):
            problems.append(f"{path} has no {function}")
    report("ARCHITECTURE.md walks through code that exists", problems)


def check_links():
    """Files that the pages name in back quotes or links exist."""
    problems = []
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            if not (page.parent / target).exists():
                problems.append(f"{page.name} links to {target}, which does not exist")
        for target in re.findall(r"`((?:src|tests|docs|scripts|training|models)/[\w./-]+)`", text):
            if not (ROOT / target).exists():
                problems.append(f"{page.name} names {target}, which does not exist")
    report("pages name files that exist", problems)


def check_api_page():
    """docs/openapi.yaml has the routes of the server, and docs/api.md is made of it with tests that exist."""
    try:
        import make_api_page
        import yaml
    except ImportError:
        print("skip docs/api.md: no python3-yaml")
        return
    description = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    table = re.findall(r'\{"([A-Z]+)", "([^"]+)", Handle', (ROOT / "src" / "api" / "routes.cc").read_text())
    served = {f"{method} {re.sub(r'[*]+', '*', path)}" for method, path in table}
    described = {re.sub(r"\{\w+\}", "*", key) for key, _ in make_api_page.operations(description)}
    report("docs/openapi.yaml has every route", [f"{key} is in one of them only" for key in sorted(served ^ described)])
    page = (ROOT / "docs" / "api.md").read_text()
    tests = make_api_page.tests_on_page(page)
    problems = [] if make_api_page.render(description, tests) == page else ["run: python3 tests/make_api_page.py"]
    sources = {path.stem: path.read_text() for path in (ROOT / "tests" / "e2e").glob("*_e2e.py")}
    units = "".join(path.read_text() for path in (ROOT / "src").rglob("*_test.cc"))
    for key, test in tests.items():
        script, _, function = test.partition(".")
        in_source = re.search(rf"TEST(_F|_P)?\({script}, {function}\)", units)
        if f"def {function}(" not in sources.get(script, "") and not in_source:
            problems.append(f"{key}: there is no test {test}")
    report("docs/api.md names the test of every row", problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    binary = parser.parse_args().build / "bin" / "puna"
    if not binary.exists():
        print(f"skip docs: {binary} is not built")
        return
    settings = ROOT / "docs" / "settings.md"
    same = settings.exists() and settings.read_text() == output(binary, "serve", "--settings-markdown")
    report("docs/settings.md is what the program prints",
           [] if same else ["run: build/release/bin/puna serve --settings-markdown > docs/settings.md"])
    architectures = (ROOT / "docs" / "architectures.md").read_text()
    report("docs/architectures.md is what the program prints",
           [] if architectures == output(binary, "eval", "architectures", "--markdown")
           else ["run: build/release/bin/puna eval architectures --markdown > docs/architectures.md"])
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
    facts = subprocess.run([sys.executable, str(ROOT / "training" / "check_facts.py"), str(binary)],
                           capture_output=True, text=True, timeout=300)
    report("mini was taught what puna says of itself", facts.stdout.splitlines() if facts.returncode else [])
    check_request_walk()
    check_links()
    check_api_page()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
