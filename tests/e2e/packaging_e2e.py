#!/usr/bin/env python3
"""What an administrator gets: the installed files, the units of systemd, the Debian package, the container image. The last
two are long, and run with PUNA_TEST_ALL=1; they need root, mmdebstrap, buildah and Debian's package archive."""
import contextlib
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

from puna_server import ROOT, Skip, free_port, main

ALL = bool(os.environ.get("PUNA_TEST_ALL"))
IMAGE_LIMIT_BYTES = 60_000_000


def run(*command, timeout=600, **options):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                          check=False, stdin=subprocess.DEVNULL, **options)
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}: {text[-1500:]}")
    return text


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(part) for part in what)[:1500])


@contextlib.contextmanager
def workplace(build):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="puna-packaging-"))
    try:
        yield folder, build
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def needs(*programs, long=True):
    if long and not ALL:
        raise Skip("only with scripts/test --all")
    if long and os.geteuid() != 0:
        raise Skip("only as root")
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed")


def installed_files(place):
    folder, build = place
    if "PUNA_SANITIZE:STRING=\n" not in (pathlib.Path(build) / "CMakeCache.txt").read_text():
        raise Skip("what is built for a sanitizer is not installed")
    run("cmake", "--install", build, "--prefix", "/usr", env={**os.environ, "DESTDIR": str(folder / "root")})
    usr = folder / "root" / "usr"
    for path in ("bin/puna", "share/man/man1/puna.1", "share/man/man1/puna-run.1", "lib/systemd/system/puna.service",
                 "lib/systemd/system/puna.socket", "share/bash-completion/completions/puna",
                 "share/zsh/vendor-completions/_puna", "share/fish/vendor_completions.d/puna.fish",
                 "share/doc/puna/README.md", "share/doc/puna/cli.md"):
        check((usr / path).is_file() and (usr / path).stat().st_size > 0, path, "is missing or empty")
    check("puna version is" in run(usr / "bin" / "puna", "--version"), "the installed program runs")


def units_of_systemd(place):
    needs("systemd-analyze", long=False)
    folder, _ = place
    # The units name the installed program, which need not be there: they are checked with another in its place.
    units = folder / "units"
    units.mkdir()
    program = folder / "puna"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("puna.service", "puna.socket"):
        text = (ROOT / "packaging" / name).read_text()
        (units / name).write_text(text.replace("/usr/bin/puna", str(program)))
    text = run("systemd-analyze", "verify", "--man=no", *sorted(units.iterdir()))
    check("puna" not in text, text)
    report = run("systemd-analyze", "security", "--offline=true", "--threshold=20", units / "puna.service")
    exposure = re.search(r"Overall exposure level for puna.service: ([\d.]+)", report)
    check(exposure and float(exposure[1]) <= 2.0, report[-300:])


def settings_of_users_win(place):
    # Of two names of a setting PUNA_X wins, so what the unit and the image set has the other one.
    settings = (ROOT / "docs" / "settings.md").read_text()
    both = dict(re.findall(r"`(PUNA_\w+)`, `(OLLAMA_\w+)`", settings))
    check("PUNA_MODELS" in both and "PUNA_HOST" in both, both)
    for name in ("packaging/puna.service", "Dockerfile"):
        set_here = re.findall(r"\b((?:PUNA|OLLAMA)_\w+)=", (ROOT / name).read_text())
        check(set_here, name)
        for setting in set_here:
            check(setting not in both, f"{name} sets {setting}, use {both.get(setting)}")


@contextlib.contextmanager
def debian(folder, *packages):
    """The root folder of a fresh Debian."""
    root = folder / "debian"
    # Nothing here has to survive a power failure, and syncs are what installing packages waits for.
    run("mmdebstrap", "--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={','.join(packages or ['ca-certificates'])}",
        "bookworm", root, timeout=1200)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def package_of_debian(place):
    needs("mmdebstrap", "cpack", "dpkg-shlibdeps")
    folder, build = place
    run("cpack", "-G", "DEB", "-B", folder / "deb", cwd=build)
    package = pathlib.Path(glob.glob(str(folder / "deb" / "puna_*.deb"))[0])
    check("libcurl4" in run("dpkg-deb", "-f", package, "Depends"), "libraries are named")
    with debian(folder) as root:
        shutil.copy(package, root / "puna.deb")
        run("chroot", root, "apt-get", "update")
        run("chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "/puna.deb")
        answer = run("chroot", root, "env", "HOME=/root", "puna", "run", "mini", "--num-predict", "8", "Who are you?")
        check(re.search("[a-z]{3}", answer), answer)
        listed = run("chroot", root, "dpkg", "-L", "puna").split()
        check("/usr/bin/puna" in listed and "/usr/lib/systemd/system/puna.service" in listed, listed)
        run("chroot", root, "apt-get", "remove", "-y", "puna")
        check(not (root / "usr/bin/puna").exists(), "removed")
        run("chroot", root, "apt-get", "purge", "-y", "puna")
        check(subprocess.run(["chroot", root, "dpkg", "-s", "puna"], capture_output=True, check=False).returncode != 0, "purged")


class Buildah:
    """buildah with a storage of its own, which needs nothing of the machine."""

    def __init__(self, folder):
        self.options = ["--root", folder / "containers", "--runroot", folder / "containers-run", "--storage-driver", "vfs"]
        self.env = {**os.environ, "BUILDAH_ISOLATION": "chroot"}

    def __call__(self, *arguments, timeout=600):
        return run("buildah", *self.options, *arguments, env=self.env, timeout=timeout).strip()


def container_image(place):
    needs("mmdebstrap", "buildah")
    folder, _ = place
    buildah = Buildah(folder)
    with debian(folder) as root:
        base = buildah("from", "scratch").splitlines()[-1]
        buildah("add", "-q", base, root, "/")
        buildah("commit", "-q", "--rm", base, "puna-base")
    # A compiler cache, where there is one, saves most of the time. It holds what the same compiler made of the same source
    # at another place, so paths must not matter; and nothing of it is thrown away.
    cache, settings = pathlib.Path.home() / ".cache" / "ccache", folder / "ccache"
    settings.mkdir()
    (settings / "ccache.conf").write_text("base_dir = /src\nhash_dir = false\nsloppiness = time_macros\nmax_size = 0\n")
    volumes = ["--volume", f"{cache}:/root/.cache/ccache", "--volume", f"{settings}:/root/.config/ccache"]
    buildah("bud", "-q", "--format", "docker", "--build-arg", "BASE=localhost/puna-base", *(volumes if cache.is_dir() else []),
            "-t", "puna", ROOT, timeout=4 * 3600)
    image = json.loads(buildah("inspect", "--type", "image", "puna"))
    config = image["Docker"]["config"]
    check(config["User"] == "11434:11434" and "/root/.ollama" in config["Volumes"], config)
    check(config["Healthcheck"]["Test"] == ["CMD", "/usr/bin/puna", "ps"], config)
    container = buildah("from", "puna").splitlines()[-1]
    mounted = pathlib.Path(buildah("mount", container))
    size = sum(path.lstat().st_size for path in mounted.rglob("*") if path.is_file() and not path.is_symlink())
    reported = buildah("images", "--format", "{{.Size}}", "localhost/puna")
    print(f"the image has {size / 1e6:.1f} MB, {reported} as buildah counts", flush=True)
    check(size < IMAGE_LIMIT_BYTES, size)
    check(not (mounted / "bin/sh").exists(), "no shell")
    serve_in_root(mounted)


def serve_in_root(root):
    """Runs what the image would, as the user that it would, with only its files in sight."""
    port = free_port()
    environment = {"HOME": "/root", "PUNA_HOST": f"127.0.0.1:{port}", "PATH": "/usr/bin"}
    (root / "proc").mkdir(exist_ok=True)
    inside = [shutil.which("chroot"), "--userspec=11434:11434", root, "/usr/bin/puna"]
    server = subprocess.Popen([*inside, "serve", "--log-file", "none"], env=environment, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while subprocess.run([*inside, "ps"], env=environment, capture_output=True, check=False).returncode != 0:
            check(server.poll() is None and time.monotonic() < deadline, "the health check fails")
            time.sleep(0.2)
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/generate", data=json.dumps(
            {"model": "mini", "prompt": "Who are you?", "stream": False, "options": {"num_predict": 8}}).encode())
        answer = json.loads(urllib.request.urlopen(request, timeout=120).read())
        check(answer["done"] and answer["response"], answer)
        copied = urllib.request.Request(f"http://127.0.0.1:{port}/api/copy", data=b'{"source":"mini","destination":"kept"}')
        urllib.request.urlopen(copied, timeout=120).read()
        check((root / "root/.ollama/models/manifests/registry.ollama.ai/library/kept/latest").is_file(), "the volume is used")
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    main((workplace, (installed_files, units_of_systemd, settings_of_users_win, package_of_debian, container_image)))
