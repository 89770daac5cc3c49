#!/usr/bin/env python3
"""Answers that only certain models give: api_test plays them through the real server, and here they are checked against
docs/openapi.yaml. With one that a limit cuts off they hold every event that the description names."""
import contextlib
import json
import os
import pathlib
import subprocess
import tempfile

from api_contract import CONTRACT
from puna_server import Server, Skip, equal, main


def names_in(schema, name):
    """The values of "type" that a schema of events lists."""
    return set(CONTRACT.description["components"]["schemas"][schema]["properties"][name]["enum"])


def events_of(body):
    for block in body.split("\n\n"):
        data = block.rpartition("data: ")[2]
        if data and data != "[DONE]":
            yield json.loads(data)


@contextlib.contextmanager
def played(build):
    if CONTRACT.description is None:
        raise Skip("no python3-yaml")
    with tempfile.TemporaryDirectory() as folder:
        record = pathlib.Path(folder) / "answers"
        done = subprocess.run([str(pathlib.Path(build) / "bin" / "api_test"), "--gtest_filter=ScriptedModel.*:ModelOutputs.*"],
                              env=dict(os.environ, PUNA_RECORD_ANSWERS=str(record)), capture_output=True, check=False)
        if done.returncode:
            raise AssertionError(done.stdout.decode(errors="replace")[-2000:])
        answers = [json.loads(line) for line in record.read_text().splitlines()]
    with Server(build) as server:
        cut = server.post("/v1/responses", {"model": "mini", "input": "Hello", "stream": True, "max_output_tokens": 2})
        answers.append({"path": "/v1/responses", "status": cut.status, "content_type": cut.headers["content-type"],
                        "body": cut.body.decode()})
    yield answers


def every_answer_is_as_described(answers):
    for answer in answers:
        method = "post"
        template = CONTRACT.template(answer["path"])
        name = CONTRACT.schema_name(method, template, answer["status"], answer["content_type"])
        if name and answer["body"]:
            CONTRACT.check_body(name, answer["content_type"], answer["body"])
    routes = {answer["path"] for answer in answers}
    for route in ("/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"):
        if route not in routes:
            raise AssertionError(f"nothing was played through {route}")


def every_event_is_played(answers):
    seen = {}
    for answer in answers:
        if answer["content_type"].startswith("text/event-stream"):
            seen.setdefault(answer["path"], set()).update(event.get("type") for event in events_of(answer["body"]))
    equal(set(), names_in("ResponseEvent", "type") - seen["/v1/responses"], "events that nothing gives")
    equal(set(), names_in("MessagesEvent", "type") - seen["/v1/messages"], "events that nothing gives")


if __name__ == "__main__":
    main((played, (every_answer_is_as_described, every_event_is_played)))
