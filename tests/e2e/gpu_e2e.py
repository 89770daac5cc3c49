#!/usr/bin/env python3
"""A Vulkan device from outside: the server computes on it, doctor names it, and the validation layer has nothing to say."""
import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile

from puna_server import Server, Skip, contains, equal, main

LAYER = "VK_LAYER_KHRONOS_validation"
CACHE = tempfile.TemporaryDirectory(prefix="puna-shaders-")  # of all servers, so that shaders are compiled once
QUESTION = {"model": "mini", "stream": False, "options": {"temperature": 0, "num_predict": 8},
            "messages": [{"role": "user", "content": "Hello"}]}


def puna(build, *arguments, **settings):
    return subprocess.run([str(pathlib.Path(build) / "bin" / "puna"), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120, encoding="utf8",
                          env={**os.environ, **settings})


def device_of(build):
    """The first device that runs the shaders, software or not."""
    if "PUNA_SANITIZE:STRING=\n" not in (pathlib.Path(build) / "CMakeCache.txt").read_text():
        raise Skip("drivers are not built for sanitizers")
    for device in json.loads(puna(build, "doctor", "--json").stdout)["devices"]:
        if not device["lacks"]:
            return device["device"]
    raise Skip("no Vulkan device")


def the_layer_is_content(build):
    device_of(build)
    environment = {**os.environ, "VK_INSTANCE_LAYERS": LAYER,
                   "VK_LAYER_ENABLES": "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT",
                   "VK_LOADER_DEBUG": "layer"}
    cases = "Vulkan.Networks:Vulkan.SplitKeys:Vulkan.Experts:Vulkan.LatentAttention:Vulkan.CopiedAndReleasedPages:VulkanInt8.Networks"
    done = subprocess.run([str(pathlib.Path(build) / "bin" / "backend_test"), f"--gtest_filter={cases}"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf8", env=environment, timeout=300)
    if f'Insert instance layer "{LAYER}"' not in done.stdout:
        raise Skip("the validation layer is not installed")
    equal(0, done.returncode, done.stdout[-1500:])
    equal([], re.findall(r"^.*(?:VUID-|SYNC-HAZARD).*$", done.stdout, re.M)[:3])


def doctor_names_devices_and_choice(build):
    device = device_of(build)
    told = json.loads(puna(build, "doctor", "--json", PUNA_DEVICE=device).stdout)
    equal(device, told["device"])
    entry = next(entry for entry in told["devices"] if entry["device"] == device)
    equal(True, entry["memory_bytes"] > 0 and entry["largest_binding_bytes"] > 0 and entry["subgroup_size"] > 0)
    text = puna(build, "doctor", PUNA_DEVICE=device).stdout
    contains(entry["name"], text)
    contains("used: PUNA_DEVICE names it", text)
    equal((True, "PUNA_DEVICE names it"), (entry["used"], entry["why"]))
    without = json.loads(puna(build, "doctor", "--json", PUNA_DEVICE="cpu").stdout)["devices"]
    equal([False] * len(without), [other["used"] for other in without])


def doctor_says_what_auto_takes_and_why(build):
    device_of(build)
    told = json.loads(puna(build, "doctor", "--json", PUNA_DEVICE="").stdout)
    equal("auto", told["device"])
    used = [entry["device"] for entry in told["devices"] if entry["used"]]
    equal("auto: " + (",".join(used) or "the CPU, there is no discrete GPU that can be used"), told["computes_on"])
    for entry in told["devices"]:
        equal(True, bool(entry["why"]))
        if entry["kind"] != "discrete":
            equal(False, entry["used"])
        if entry["kind"] == "software" and not entry["lacks"]:
            equal("a software device, no faster than the CPU", entry["why"])
    contains("computes on   " + told["computes_on"], puna(build, "doctor", PUNA_DEVICE="").stdout)


def a_device_that_is_not_there_is_named(build):
    done = puna(build, "serve", PUNA_DEVICE="vulkan:9999", PUNA_HOST="127.0.0.1:1")
    equal(True, done.returncode != 0)
    contains("9999", done.stdout + device_of(build))


def model_that_answers(server):
    """What /api/ps says of it."""
    answer = server.post("/api/chat", QUESTION)
    equal(200, answer.status)
    equal(True, len(answer.json()["message"]["content"]) > 0)
    return server.request("GET", "/api/ps").json()["models"][0]


@contextlib.contextmanager
def auto_server(build):
    with Server(build, PUNA_DEVICE="auto", PUNA_CACHE_DIR=CACHE.name) as server:
        yield server


def auto_computes_where_doctor_says(server):
    model = model_that_answers(server)
    code, told, _ = server.run("doctor", "--json")
    equal(0, code)
    cpu = "the CPU" in json.loads(told)["computes_on"]
    equal(0 if cpu else model["size"], model["size_vram"])
    code, table, _ = server.run("ps")
    equal(0, code)
    contains("100% CPU" if cpu else "100% GPU", table)
    equal([], re.findall(r"^.*(?:warn|error).*$", server.log_text(), re.M | re.I))
    equal(200, server.post("/api/chat", {**QUESTION, "options": {"num_gpu": 0, "num_predict": 2}}).status)
    equal(0, server.request("GET", "/api/ps").json()["models"][0]["size_vram"])


@contextlib.contextmanager
def device_server(build):
    with Server(build, PUNA_DEVICE=device_of(build), PUNA_CACHE_DIR=CACHE.name) as server:
        yield server


def answers_and_tells_its_memory(server):
    model = model_that_answers(server)
    equal(True, model["size"] > 0)
    equal(model["size"], model["size_vram"])


def memory_of(server, **options):
    """Size and size_vram of the model after an answer with these options."""
    answer = server.post("/api/chat", {**QUESTION, "options": {"temperature": 0, "num_predict": 2, **options}})
    equal(200, answer.status)
    equal(2, answer.json()["eval_count"])
    model = server.request("GET", "/api/ps").json()["models"][0]
    return model["size"], model["size_vram"]


def layers_go_where_the_request_says(server):
    size, on_device = memory_of(server, num_gpu=1)
    equal(True, 0 < on_device < size, f"{on_device} of {size}")
    size, on_device = memory_of(server)
    equal(True, 0 < on_device < size, f"as it is: {on_device} of {size}")
    equal(0, memory_of(server, num_gpu=0)[1])
    size, on_device = memory_of(server, num_gpu=999)
    equal(size, on_device)
    code, text, _ = server.run("doctor")
    equal(0, code)
    contains("loaded        mini", text)


@contextlib.contextmanager
def two_device_server(build):
    device = device_of(build)
    with Server(build, PUNA_DEVICE=f"{device},{device}", PUNA_CACHE_DIR=CACHE.name) as server:
        yield server


def one_of_two_devices(server):
    for options in ({}, {"main_gpu": 1}, {"main_gpu": 1, "num_gpu": 1}):
        size, on_device = memory_of(server, **options)
        equal(True, 0 < on_device <= size, f"{options}: {on_device} of {size}")
    answer = server.post("/api/chat", {**QUESTION, "options": {"main_gpu": 2}})
    equal(400, answer.status)
    contains("there is no device 2, only 2 in use", answer.json()["error"])


main((contextlib.nullcontext, (doctor_names_devices_and_choice, doctor_says_what_auto_takes_and_why, a_device_that_is_not_there_is_named, the_layer_is_content)),
     (auto_server, (auto_computes_where_doctor_says,)),
     (device_server, (answers_and_tells_its_memory, layers_go_where_the_request_says)),
     (two_device_server, (one_of_two_devices,)))
