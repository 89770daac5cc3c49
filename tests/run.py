#!/usr/bin/env python3
"""Runs every test and prints one closing line: N passed, N failed, N skipped.

Three kinds are found by name, so that adding a test needs no list:
  <build>/bin/*_test        GoogleTest programs; each of their cases counts
  <build>/bin/*_fuzz        fuzz targets; a short run from the seeds in tests/data/<folder>/fuzz_<target>
  tests/check_*.py, tests/e2e/*_e2e.py
                            scripts that print "ok NAME", "fail NAME: why" or "skip NAME: why" lines;
                            they get --build DIR, and PUNA_TEST_ALL=1 for the long tiers; a crash or an exit code other than 0
                            counts as a failure

Each gets a folder for what it writes, in TMPDIR; what lies there after a program that passed counts as a failure too.

Builds with a sanitizer get its options, with tests/sanitizers/*.supp, and three times the time. --also runs some programs of
another build too.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def fail(self, name, why=""):
        self.failed.append(name)
        print(f"FAILED  {name} {why}".rstrip(), flush=True)

    def skip(self, name, why=""):
        self.skipped.append((name, why))


class Build:
    """A build folder, and what its sanitizer needs."""

    def __init__(self, folder, only=()):
        self.folder = folder.resolve()
        self.only = set(only)  # names of programs and scripts; empty: all
        cache = self.folder / "CMakeCache.txt"
        match = re.search(r"^PUNA_SANITIZE:\w+=(\w+)$", cache.read_text(), re.M) if cache.exists() else None
        self.sanitizer = match[1] if match else ""
        self.label = f"{self.folder.name}/" if only else ""
        self.slowness = 3 if self.sanitizer else 1

    def environment(self, **more):
        def options(name, words):
            file = ROOT / "tests" / "sanitizers" / f"{name}.supp"
            return ":".join([words] * bool(words) + [f"suppressions={file}"] * file.exists())
        no_drivers = {"VK_DRIVER_FILES": os.devnull}  # drivers are not built for sanitizers, and keep memory of their own
        sanitizers = {
            "": {},
            "address": {**no_drivers, "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
                        "LSAN_OPTIONS": options("leak", "print_suppressions=0"),
                        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"},
            "thread": {**no_drivers, "TSAN_OPTIONS": options("thread", "second_deadlock_stack=1:history_size=5:print_suppressions=0")},
        }
        return {**os.environ, **sanitizers[self.sanitizer], **more}


def run(command, timeout_s, env):
    """Exit code, output and seconds; 124 when it ran out of time, 1 when it left files behind."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="puna-tests-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)  # some tests become another user
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s,
                                  env={**env, "TMPDIR": folder}, cwd=ROOT, stdin=subprocess.DEVNULL)
            code, output = done.returncode, done.stdout.decode("utf8", "replace")
        except subprocess.TimeoutExpired as expired:
            code = 124
            output = (expired.stdout or b"").decode("utf8", "replace") + f"\nran past its limit of {timeout_s} s"
        left = sorted(os.listdir(folder))
        if code == 0 and left:
            code = 1
            output += f"\nleft behind in TMPDIR: {', '.join(left[:20])}"
    return code, output, time.monotonic() - start


def run_gtest(program, tally, build, options):
    with tempfile.TemporaryDirectory() as folder:
        report_path = pathlib.Path(folder) / "report.json"
        env = build.environment(PUNA_TEST_ALL="1" if options.all else "")
        code, output, seconds = run([str(program), f"--gtest_output=json:{report_path}", "--gtest_brief=1"],
                                    options.timeout * build.slowness, env)
        report = json.loads(report_path.read_text()) if report_path.exists() else None
    label = build.label + program.name
    if report is None:
        tally.fail(label, f"ended with code {code} before its report")
        print(output[-4000:])
        return
    counts = [0, 0, 0]
    for suite in report["testsuites"]:
        for case in suite["testsuite"]:
            name = f"{label}:{suite['name']}.{case['name']}"
            if case.get("failures"):
                counts[1] += 1
                tally.fail(name)
            elif case.get("result") == "SKIPPED" or case.get("status") == "NOTRUN":
                counts[2] += 1
                tally.skip(name)
            else:
                counts[0] += 1
    tally.passed += counts[0]
    if code != 0 and counts[1] == 0:
        tally.fail(label, f"ended with code {code}")
    if code != 0 or options.verbose:
        print(output[-8000:])
    print(f"{label}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped ({seconds:.1f} s)", flush=True)


# Seeds that are too large for the repository, below the shared folder.
SHARED_SEEDS = {"config_fuzz": ("oracles/arch/*.gguf", "oracles/variants/*.gguf", "oracles/embedding/*.gguf")}


def run_fuzz(program, tally, build, options):
    seeds = sorted(str(path) for path in (ROOT / "tests" / "data").glob(f"*/fuzz_{program.name.removesuffix('_fuzz')}"))
    shared = pathlib.Path(os.environ.get("PUNA_SHARED") or ROOT / ".." / "shared")
    for pattern in SHARED_SEEDS.get(program.name, ()):
        seeds += sorted(map(str, shared.glob(pattern)))
    seconds = 60 if options.all else 3
    code, output, _ = run([str(program), "--seconds", str(seconds), *seeds], (seconds * 20 + 120) * build.slowness,
                          build.environment())
    if code == 0:
        tally.passed += 1
        print(output.strip().splitlines()[-1] if output.strip() else program.name, flush=True)
    else:
        tally.fail(build.label + program.name, f"ended with code {code}")
        print(output[-4000:])


def run_script(script, tally, build, options):
    command = [sys.executable, str(script), "--build", str(build.folder)]
    environment = build.environment(PUNA_TEST_ALL="1" if options.all else "")
    code, output, seconds = run(command, options.timeout * build.slowness * (12 if options.all else 1), environment)
    label = build.label + script.name
    counts = {"ok": 0, "fail": 0, "skip": 0}
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        if word not in counts:
            continue
        counts[word] += 1
        if word == "ok":
            tally.passed += 1
        elif word == "fail":
            tally.fail(f"{label}: {rest}")
        else:
            tally.skip(f"{label}: {rest}")
    if code != 0 and counts["fail"] == 0:
        tally.fail(label, f"ended with code {code}")
    if code != 0 or options.verbose:
        print(output[-8000:])
    print(f"{label}: {counts['ok']} passed, {counts['fail']} failed, {counts['skip']} skipped ({seconds:.1f} s)",
          flush=True)


def jobs_of(build):
    jobs = [(run_script, path) for path in sorted((ROOT / "tests").glob("check_*.py"))]
    jobs += [(run_gtest, path) for path in sorted((build.folder / "bin").glob("*_test"))]
    jobs += [(run_fuzz, path) for path in sorted((build.folder / "bin").glob("*_fuzz"))]
    jobs += [(run_script, path) for path in sorted((ROOT / "tests" / "e2e").glob("*_e2e.py"))]
    return [(runner, path) for runner, path in jobs if not build.only or path.stem in build.only]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an interruption, which clears up on its way out
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--also", action="append", default=[], metavar="DIR:NAME,NAME",
                        help="these programs and scripts of another build too")
    parser.add_argument("--all", action="store_true", help="the long tiers too")
    parser.add_argument("-k", dest="filter", default="", help="only names that contain this")
    parser.add_argument("--timeout", type=int, default=1200, help="seconds for one program")
    parser.add_argument("-v", dest="verbose", action="store_true")
    options = parser.parse_args()
    builds = [Build(options.build)]
    for also in options.also:
        folder, _, names = also.rpartition(":")
        builds.append(Build(pathlib.Path(folder), names.split(",")))

    tally = Tally()
    for build in builds:
        for runner, path in jobs_of(build):
            if options.filter in path.name:
                runner(path, tally, build, options)

    if tally.skipped:
        print("skipped:")
        for name, why in tally.skipped:
            print(f"  {name} {why}".rstrip())
    if tally.failed:
        print("failed:")
        for name in tally.failed:
            print(f"  {name}")
    print(f"{tally.passed} passed, {len(tally.failed)} failed, {len(tally.skipped)} skipped")
    sys.exit(1 if tally.failed or tally.passed == 0 else 0)


if __name__ == "__main__":
    main()
