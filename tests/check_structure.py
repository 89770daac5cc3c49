#!/usr/bin/env python3
"""The rules about the shape of the code: layers, unique file names, sizes, format.

An exception to a size limit is a line in tests/size_exceptions.txt: "path[:function] reason".
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 100
MAX_FRONT_DOOR_LINES = 250
failures = 0


def report(name, problems):
    global failures
    if problems:
        failures += 1
        print(f"fail {name}: {len(problems)} problems")
        for problem in problems:
            print(f"    {problem}")
    else:
        print(f"ok {name}")


def sources():
    return sorted(path for path in SRC.rglob("*") if path.suffix in (".cc", ".h"))


def read_layers():
    layers = {}
    problems = []
    for line in (SRC / "LAYERS").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        folder, _, rest = line.partition(":")
        below = rest.split()
        problems += [f"LAYERS: {folder} names {name}, which is not above it" for name in below if name not in layers]
        layers[folder] = set(below)
    return layers, problems


def check_layers():
    layers, problems = read_layers()
    for path in sources():
        folder = path.relative_to(SRC).parts[0]
        if folder not in layers:
            problems.append(f"{path.relative_to(ROOT)}: folder {folder} is not in src/LAYERS")
            continue
        for line in path.read_text(errors="replace").splitlines():
            match = re.match(r'\s*#\s*include\s+"([a-z_]+)/', line)
            if not match or match.group(1) == "tests":
                continue
            target = match.group(1)
            if target != folder and target not in layers[folder]:
                problems.append(f"{path.relative_to(ROOT)} includes {target}, src/LAYERS does not allow {folder} -> {target}")
    report("layers", problems)


def check_names():
    seen = collections.defaultdict(list)
    for path in sources():
        if path.name != "main.cc":
            seen[path.name].append(str(path.relative_to(ROOT)))
    problems = [f"{name}: {', '.join(paths)}" for name, paths in sorted(seen.items()) if len(paths) > 1]
    report("unique file names", problems)


def read_exceptions():
    path = ROOT / "tests" / "size_exceptions.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return {line.split()[0] for line in lines if line and not line.startswith("#") and len(line.split()) > 1}


def check_file_sizes(exceptions):
    problems = []
    for path in sources():
        lines = path.read_text(errors="replace").count("\n")
        name = str(path.relative_to(ROOT))
        if lines > MAX_FILE_LINES and name not in exceptions:
            problems.append(f"{name} has {lines} lines, the limit is {MAX_FILE_LINES}")
        folder = path.parent.name
        if path.name == f"{folder}.h" and path.parent.parent == SRC and lines > MAX_FRONT_DOOR_LINES:
            problems.append(f"{name} is a front door with {lines} lines, the limit is {MAX_FRONT_DOOR_LINES}")
    report("file sizes", problems)


def check_function_sizes(exceptions):
    if not shutil.which("ctags"):
        print("skip function sizes: no ctags")
        return
    output = subprocess.run(["ctags", "-R", "--languages=C++", "--c++-kinds=f", "--fields=+ne", "-f", "-", str(SRC)],
                            capture_output=True, text=True, check=False).stdout
    problems = []
    longest = (0, "")
    for line in output.splitlines():
        parts = line.split("\t")
        fields = dict(part.split(":", 1) for part in parts if re.match(r"(line|end):\d+$", part))
        if "line" not in fields or "end" not in fields:
            continue
        length = int(fields["end"]) - int(fields["line"]) + 1
        name = f"{pathlib.Path(parts[1]).relative_to(ROOT)}:{parts[0]}"
        longest = max(longest, (length, name))
        if length > MAX_FUNCTION_LINES and name not in exceptions:
            problems.append(f"{name} has {length} lines, the limit is {MAX_FUNCTION_LINES}")
    report("function sizes", problems)
    print(f"    longest: {longest[1]} with {longest[0]} lines")


def grouped_folders():
    text = (SRC / "CMakeLists.txt").read_text()
    values = {name: rest.split() for name, rest in re.findall(r"^set\((\w+) ([^)]*)\)", text, re.M)}
    folders = []
    for word in values["grouped_folders"]:
        folders += values[word[2:-1]] if word.startswith("${") else [word]
    return folders


def check_local_names():
    """Sources that are compiled as one unit: which of them those are changes with every new file."""
    if not shutil.which("ctags"):
        print("skip local names: no ctags")
        return
    problems = []
    for folder in grouped_folders():
        files = [str(path) for path in (SRC / folder).rglob("*.cc") if not re.search(r"_(test|bench|fuzz)$", path.stem)]
        output = subprocess.run(["ctags", "--languages=C++", "--c++-kinds=fvgsc", "--fields=+S", "-f", "-", *files],
                                capture_output=True, text=True, check=False).stdout
        seen = collections.defaultdict(set)
        for line in output.splitlines():
            parts = line.split("\t")
            fields = dict(part.split(":", 1) for part in parts[3:] if ":" in part)
            scope = fields.get("namespace", "")
            if not re.search(r"::__anon\w+$", scope):
                continue
            # What a parameter is called makes no other function.
            types = re.sub(r"\s*\w+(?=[,)])", "", fields.get("signature", ""))
            seen[re.sub(r"__anon\w+", "", scope) + parts[0] + types].add(str(pathlib.Path(parts[1]).relative_to(ROOT)))
        problems += [f"{name}: {', '.join(sorted(paths))}" for name, paths in sorted(seen.items()) if len(paths) > 1]
    report("local names", problems)


def check_format():
    if not shutil.which("clang-format"):
        print("skip format: no clang-format")
        return
    files = [str(path) for path in sources()] + [str(path) for path in (ROOT / "tests").rglob("*.cc")]
    done = subprocess.run(["clang-format", "--dry-run", "--Werror", *files], capture_output=True, text=True, check=False)
    bad = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "error:" in line})
    report("format", [f"{pathlib.Path(path).relative_to(ROOT)}: run clang-format -i" for path in bad])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build")
    parser.parse_args()
    exceptions = read_exceptions()
    check_layers()
    check_names()
    check_file_sizes(exceptions)
    check_function_sizes(exceptions)
    check_local_names()
    check_format()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
