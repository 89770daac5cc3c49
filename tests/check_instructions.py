#!/usr/bin/env python3
"""Do functions that are compiled for certain processors stay in their units?

A function that the compiler does not inline and that several units may bring (an inline function, a member, a
template) is kept once by the linker, whichever unit it comes from. If that is a unit for AVX-512, others run into its
instructions on a processor without them. So such units must bring none.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

SPECIAL = re.compile(r" -m(avx|amx|arch=armv8\.\d-a\+)\S*")
SHARED = re.compile(r"^\S* +[WVu] (?!DW\.ref\.)(.*)$", re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    build = parser.parse_args().build
    units, failures = 0, 0
    entries = json.loads((build / "compile_commands.json").read_text())
    if any("-fsanitize" in entry["command"] for entry in entries):
        print("skip units keep their functions to themselves: with sanitizers little is inlined")
        return 0
    for entry in entries:
        if not SPECIAL.search(entry["command"]):
            continue
        made = pathlib.Path(entry["directory"]) / re.search(r" -o (\S+)", entry["command"])[1]
        if not made.exists():
            print(f"fail {made} is not built")
            failures += 1
            continue
        units += 1
        symbols = subprocess.run(["nm", "--demangle", "--defined-only", str(made)], stdout=subprocess.PIPE, check=True)
        for name in sorted(set(SHARED.findall(symbols.stdout.decode()))):
            print(f"fail {made.name} brings {name}, which other units would use")
            failures += 1
    if units == 0:
        print("skip units keep their functions to themselves: none has instructions of its own here")
    elif failures == 0:
        print(f"ok {units} units keep their functions to themselves")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
