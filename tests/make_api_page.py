#!/usr/bin/env python3
"""Makes docs/api.md: what docs/openapi.yaml says of every route and field, with the test that uses it.

    python3 tests/make_api_page.py --build build/release      runs the tests of the API and writes the page

tests/check_docs.py uses render() to see that the page still says what docs/openapi.yaml says.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
OPTIONS = "#/components/schemas/Options"
SCRIPTS = ["fields_e2e", "openai_e2e", "anthropic_e2e", "load_e2e", "registry_e2e", "files_e2e", "access_e2e", "api_e2e"]
HEAD = """# The HTTP API

Made by `tests/make_api_page.py` from [openapi.yaml](openapi.yaml), against which the tests check every answer of the server. Behind
each row stands a test of `tests/e2e` that uses it with success or, where this version only refuses, sees the refusal; behind some
rows of answers, which only certain models give, a test of `src/`.

Bodies are JSON whatever their Content-Type. Fields that are not listed are ignored; one of the wrong type is 400 and the message
names its path. Native routes stream lines of JSON unless `stream` is false, the others stream server-sent events if it is true.
Errors are `{"error": "..."}` on native routes and have OpenAI's or Anthropic's form on theirs; one in the middle of a stream is its
last line or event. A prompt that is longer than the context is 400, `prompt is too long: 9009 tokens > 4095 maximum` and what to do, with the code
`context_length_exceeded` on routes of OpenAI: agents that read one of them shorten the conversation by themselves. The routes of OpenAI and Anthropic take bodies in `Content-Encoding: zstd` too, of at most 20 MiB when unpacked. GET routes answer HEAD too. A slash behind a path changes nothing. Unknown paths are 404, wrong methods 405, bodies over `MAX_REQUEST_MB`, as sent or unpacked, 413, bodies of more than 200,000 objects or 2,000,000 values 400.
"""


def operations(description):
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def resolve(description, node):
    while "$ref" in node:
        target = description
        for part in node["$ref"].split("/")[1:]:
            target = target[part]
        node = target
    return node


def request_schema(description, operation):
    body = operation.get("requestBody")
    return resolve(description, body["content"]["application/json"]["schema"]) if body else {}


def fields_of(description, operation):
    """(name, schema, required) of the fields of a request; those of options are described once, with /api/generate."""
    schema = request_schema(description, operation)
    above = () if operation["summary"] == "Goes on from a prompt" else (OPTIONS,)
    for path, field in described(description, schema, above=above, of_request=True):
        yield path, field, path in schema.get("required", [])


def described(description, node, path="", above=(), of_request=False):
    """(path, schema) of what an answer or a request may hold: a.b is in an object, a[].b in each of a list. Parts that repeat
    within themselves are described once, and those that only requests have are left out of answers."""
    name = node.get("$ref")
    if name in above:
        return
    above = above + (name,) if name else above
    node = resolve(description, node)
    for part in node.get("allOf", []) + node.get("anyOf", []) + node.get("oneOf", []):
        yield from described(description, part, path, above, of_request)
    if isinstance(node.get("items"), dict):
        yield from described(description, node["items"], path + "[]", above, of_request)
    for key, field in node.get("properties", {}).items():
        full = dict(resolve(description, field), **{k: v for k, v in field.items() if k != "$ref"})
        if full.get("writeOnly") and not of_request:
            continue
        inner = f"{path}.{key}" if path else key
        yield inner, full
        yield from described(description, field, inner, above, of_request)


def answer_fields(description, operation):
    """{path: schema} of all forms of an operation's answers."""
    rows = {}
    known = ()  # forms that were described; events repeat them
    for response in operation["responses"].values():
        for content in resolve(description, response).get("content", {}).values():
            for path, field in described(description, content["schema"], above=known):
                rows.setdefault(path, field)
            known += (content["schema"].get("$ref"),)
    return rows


def type_of(field):
    kind = field.get("type", field.get("enum", "any"))
    return " or ".join(str(one) for one in kind) if isinstance(kind, list) else str(kind)


def render(description, tests):
    """The page; `tests` maps "METHOD /path|field" to the name of a test, "METHOD /path|>field" for what is answered. Where no
    script sees an answer's field, the description itself names a test of src/ ("x-test")."""
    out = [HEAD]
    for key, operation in operations(description):
        out.append(f"\n## {key}\n\n{operation['summary']}. Test: {tests.get(key + '|', 'none')}\n")
        rows = list(fields_of(description, operation))
        if rows:
            out.append("\n| field | type | default | meaning | test |\n|---|---|---|---|---|\n")
        for name, field, required in rows:
            default = "required" if required else json.dumps(field["default"]) if "default" in field else ""
            meaning = field.get("description", "").replace("|", "\\|")
            out.append(f"| `{name}` | {type_of(field)} | {default} | {meaning} | {tests.get(f'{key}|{name}', 'none')} |\n")
        schema = request_schema(description, operation)
        ignored = [*schema.get("x-ignored", ())]
        if operation["summary"] == "Goes on from a prompt":
            ignored += [f"options.{name}" for name in description["components"]["schemas"]["Options"]["x-ignored"]]
        if ignored:
            names = ", ".join(f"`{name}`" for name in ignored)
            out.append(f"\nIgnored on purpose: {names} (fields_e2e.ignored_fields_change_nothing).\n")
        answers = answer_fields(description, operation)
        if answers:
            out.append("\n| in the answer | type | meaning | test |\n|---|---|---|---|\n")
        for path, field in answers.items():
            meaning = field.get("description", "").replace("|", "\\|")
            test = field.get("x-test") or tests.get(f"{key}|>{path}", "none")
            out.append(f"| `{path}` | {type_of(field)} | {meaning} | {test} |\n")
    return "".join(out)


def tests_on_page(text):
    """The tests that a page names, as render takes them."""
    tests = {}
    key = mark = None
    for line in text.splitlines():
        if line.startswith("## "):
            key = line[3:]
        elif line.startswith(("| field |", "| in the answer |")):
            mark = ">" if "answer" in line else ""
        elif match := re.search(r"Test: ([\w.]+)$", line):
            tests[f"{key}|"] = match.group(1)
        elif match := re.match(r"\| `([^`]+)` \|.*\| ([\w.]+) \|$", line):
            tests[f"{key}|{mark}{match.group(1)}"] = match.group(2)
    return tests


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = pathlib.Path(folder) / "record"
        for script in SCRIPTS:
            subprocess.run([sys.executable, str(ROOT / "tests" / "e2e" / f"{script}.py"), "--build", str(options.build)],
                           env=dict(os.environ, PUNA_RECORD_API=str(record)), check=True, stdout=subprocess.DEVNULL)
        seen = [json.loads(line) for line in record.read_text().splitlines()]
    tests = {}
    for wanted in (True, False):  # where nothing succeeds, the test that sees the refusal
        for key, success, test in seen:
            if success == wanted:
                tests.setdefault(key, test)
    page = render(yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text()), tests)
    uncovered = [line for line in page.splitlines() if line.endswith(("| none |", "Test: none"))]
    if uncovered:
        sys.exit("no test uses:\n" + "\n".join(uncovered))
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
