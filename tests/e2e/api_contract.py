"""docs/openapi.yaml as a test sees it: answers are checked against it, and which test uses what is written down.

With PUNA_RECORD_API=FILE a script appends a JSON line for every operation and request field that a test used, with whether it was
answered with success; tests/make_api_page.py makes docs/api.md of them.
"""
import json
import os
import pathlib
import re

try:
    import jsonschema
    import yaml
except ImportError:
    jsonschema = yaml = None

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DESCRIPTION = ROOT / "docs" / "openapi.yaml"


def paths_of(value, path=""):
    """What make_api_page.py calls the parts of a request or an answer."""
    if isinstance(value, list):
        for part in value:
            yield from paths_of(part, path + "[]")
    elif isinstance(value, dict):
        for key, part in value.items():
            inner = f"{path}.{key}" if path else key
            yield inner
            yield from paths_of(part, inner)


class Contract:
    def __init__(self):
        self.description = yaml.safe_load(DESCRIPTION.read_text()) if yaml else None
        self.validators = {}
        self.patterns = []
        self.test = None
        self.operation = None  # whose answer is looked at
        self.seen = {}
        self.unproven = set()  # fields that a script uses without a look at what they do
        if self.description:
            # {model} may have slashes; more literal paths come first.
            paths = sorted(self.description["paths"], key=lambda path: ("{" in path, path))
            self.patterns = [(re.compile(re.sub(r"\\\{[a-z]+\\\}", ".+", re.escape(path)) + "$"), path) for path in paths]

    def template(self, path):
        path = path.split("?")[0]
        return next((template for pattern, template in self.patterns if pattern.match(path)), None)

    def resolve(self, node):
        while "$ref" in node:
            target = self.description
            for part in node["$ref"].split("/")[1:]:
                target = target[part]
            node = target
        return node

    def schema_name(self, method, template, status, content_type):
        """The name of the schema of an answer; "" if it has no body to check."""
        responses = self.description["paths"][template][method.lower()]["responses"]
        if status >= 400 and str(status) not in responses:
            if "json" not in content_type and "event-stream" not in content_type:
                return ""
            if template.startswith("/v1/messages"):
                return "AnthropicError"
            return "OpenAiError" if template.startswith("/v1/") else "OllamaError"
        if str(status) not in responses:
            raise AssertionError(f"docs/openapi.yaml has no status {status} of {method} {template}")
        content = self.resolve(responses[str(status)]).get("content", {})
        if not content:
            return ""
        kind = content_type.split(";")[0]
        if kind not in content:
            raise AssertionError(f"docs/openapi.yaml has no {kind} of {method} {template}")
        return content[kind]["schema"].get("$ref", "").rpartition("/")[2]

    def validate(self, name, value):
        if self.test and self.operation:
            for path in paths_of(value):
                self.seen.setdefault((f"{self.operation}|>{path}", True), self.test)
        if name not in self.validators:
            schema = dict(self.description, **{"$ref": f"#/components/schemas/{name}"})
            self.validators[name] = jsonschema.Draft202012Validator(schema)
        error = next(self.validators[name].iter_errors(value), None)
        if error:
            where = "/".join(str(part) for part in error.absolute_path)
            raise AssertionError(f"an answer is no {name} of docs/openapi.yaml: {where}: {error.message}"[:1000])

    def check(self, method, path, request, reply):
        template = self.template(path) if self.description else None
        operation = "get" if method == "HEAD" and template and "head" not in self.description["paths"][template] else method.lower()
        if template is None or operation not in self.description["paths"][template]:
            return
        self.record(operation, template, request, reply.status)
        self.operation = f"{operation.upper()} {template}" if reply.status < 400 else None
        name = self.schema_name(operation, template, reply.status, reply.headers.get("content-type", ""))
        if not name or not reply.body:
            return
        self.check_body(name, reply.headers.get("content-type", ""), reply.body.decode())

    def check_body(self, name, kind, body):
        """A stream may end with an error in the form of its dialect."""
        if kind.startswith("application/x-ndjson"):
            for line in filter(None, body.splitlines()):
                line = json.loads(line)
                self.validate("OllamaError" if "error" in line and "status" not in line else name, line)
        elif kind.startswith("text/event-stream"):
            for block in body.split("\n\n"):
                data = block.rpartition("data: ")[2]
                if data and data != "[DONE]":
                    data = json.loads(data)
                    self.validate("OpenAiError" if list(data) == ["error"] else name, data)
        else:
            self.validate(name, json.loads(body))

    def record(self, operation, template, request, status):
        if self.test is None:
            return
        for field in ["", *(paths_of(request) if isinstance(request, dict) else ())]:
            if field in self.unproven:
                continue
            key = (f"{operation.upper()} {template}|{field}", status < 400)
            self.seen.setdefault(key, self.test)

    def write_record(self):
        target = os.environ.get("PUNA_RECORD_API")
        if target:
            with open(target, "a") as out:
                for (key, success), test in self.seen.items():
                    out.write(json.dumps([key, success, test]) + "\n")


CONTRACT = Contract()
