#!/usr/bin/env python3
"""puna launch with stand-ins for the agents: what they are started with, what is written for them, and that it can be undone.
And what `puna` without arguments asks at a terminal."""
import json
import os
import pathlib
import tomllib

from cli_e2e import Puna, Terminal, check, without_server
from puna_server import main

# Writes down how it was called, and does what an agent does first: asks the server that it was pointed at.
STAND_IN = """#!/usr/bin/env python3
import json, os, pathlib, sys, urllib.request
pathlib.Path(os.environ["HOME"], "called.json").write_text(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}))
if sys.argv[-1:] == ["fail"]:
    sys.exit(7)
url = os.environ.get("ANTHROPIC_BASE_URL")
if url:
    print("models:", len(json.load(urllib.request.urlopen(url + "/api/tags"))["models"]))
"""


def install(puna, *agents):
    """Puts stand-ins first into PATH."""
    folder = puna.folder / "agents"
    folder.mkdir(exist_ok=True)
    for agent in agents:
        (folder / agent).write_text(STAND_IN)
        (folder / agent).chmod(0o755)
    puna.env["PATH"] = f"{folder}:{os.environ['PATH']}"


def home(puna):
    return pathlib.Path(puna.env["HOME"])


def called(puna):
    return json.loads((home(puna) / "called.json").read_text())


def test_environment_and_arguments(puna):
    install(puna, "claude", "codex", "opencode", "copilot")
    url = f"http://{puna.env['PUNA_HOST']}"
    check("models: 1" in puna.ok("launch", "claude", "--model", "mini", "--", "-p", "say hello"), "the server is reached")
    call = called(puna)
    check(call["arguments"] == ["--model", "mini", "-p", "say hello"], call["arguments"])
    check(call["environment"]["ANTHROPIC_BASE_URL"] == url and call["environment"]["ANTHROPIC_API_KEY"] == ""
          and call["environment"]["ANTHROPIC_AUTH_TOKEN"] and call["environment"]["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "mini", call)
    puna.ok("launch", "codex", "--model", "mini", "--", "--sandbox", "read-only")
    call = called(puna)
    overrides = tomllib.loads("\n".join(call["arguments"][i + 1] for i, word in enumerate(call["arguments"]) if word == "-c"))
    provider = overrides["model_providers"][overrides["model_provider"]]
    check(provider["base_url"] == url + "/v1" and provider["wire_api"] == "responses", overrides)
    check(call["environment"][provider["env_key"]] and call["arguments"][-4:] == ["-m", "mini", "--sandbox", "read-only"], call)
    puna.ok("launch", "opencode", "--yes")  # the only model
    config = json.loads(called(puna)["environment"]["OPENCODE_CONFIG_CONTENT"])
    check(config["model"] == "puna/mini:latest" and config["provider"]["puna"]["options"]["baseURL"] == url + "/v1"
          and config["provider"]["puna"]["models"]["mini:latest"]["limit"]["context"] > 0, config)
    puna.ok("launch", "copilot-cli", "--model", "mini")
    check(called(puna)["environment"]["COPILOT_PROVIDER_BASE_URL"] == url + "/v1", "an alias, and its environment")
    shown = puna.ok("launch", "copilot", "--model", "mini", "--config")
    check(f"COPILOT_PROVIDER_BASE_URL='{url}/v1'" in shown and "copilot '--model' 'mini'" in shown, shown)
    check("exit code 7" in puna.error("launch", "claude", "--model", "mini", "--", "fail", code=7), "the code of the agent")


def test_agents_that_are_not_there(puna):
    puna.env["PATH"] = str(puna.folder)
    check("Claude Code is not installed" in puna.error("launch", "claude", "--model", "mini"), "how it is installed")
    check("npm install -g @openai/codex" in puna.error("launch", "codex", "--model", "mini"), "how it is installed")
    message = puna.error("launch", "vscode")
    check("does not configure vscode" in message and f"http://{puna.env['PUNA_HOST']}/v1" in message, message)
    check("unknown agent" in puna.error("launch", "nobody"), "unknown")
    check("need the name of an agent" in puna.error("launch", "--config"), "flags alone")
    rows = puna.ok("launch").splitlines()
    check(rows[0].split()[:3] == ["NAME", "AGENT", "INSTALLED"] and rows[1].split()[0] == "claude" and len(rows) == 7, rows)


def test_files_are_changed_and_brought_back(puna):
    install(puna, "droid", "qwen")
    settings = home(puna) / ".factory" / "settings.json"
    settings.parent.mkdir()
    mine = '{ "theme": "dark",\n  "customModels": [{"id": "custom:mine", "model": "m"}] }\n'
    real = home(puna) / "dotfiles.json"
    real.write_text(mine)
    real.chmod(0o640)
    settings.symlink_to(real)
    puna.ok("launch", "droid", "--model", "mini")
    puna.ok("launch", "droid", "--model", "mini:latest", "--config")
    config = json.loads(settings.read_text())
    check(config["theme"] == "dark" and [one["model"] for one in config["customModels"]] == ["mini:latest", "m"], config)
    check(config["sessionDefaultSettings"]["model"] == config["customModels"][0]["id"], config)
    check(settings.is_symlink() and real.stat().st_mode & 0o777 == 0o640, "a link stays a link, permissions stay")
    changed = settings.read_text().replace("dark", "light")
    settings.write_text(changed)
    check("as it was" in puna.ok("launch", "droid", "--restore"), "restored")
    check(settings.read_text() == mine and real.stat().st_mode & 0o777 == 0o640, settings.read_text())
    backup = home(puna) / ".puna" / "backup" / "droid"
    check(any(path.read_text() == changed for path in backup.iterdir()), "what was there before is kept, too")
    check("was not changed" in puna.ok("launch", "droid", "--restore"), "only once")
    check(settings.read_text() == mine, "nothing happened")
    # A file that was not there goes away again.
    puna.ok("launch", "qwen", "--model", "mini")
    settings = home(puna) / ".qwen" / "settings.json"
    check(json.loads(settings.read_text())["model"]["name"] == "mini" and settings.stat().st_mode & 0o777 == 0o600, "written")
    check(called(puna)["environment"]["OPENAI_MODEL"] == "mini", "and the environment")
    puna.ok("launch", "qwen", "--restore")
    check(not settings.exists(), "gone")
    # What is not understood is not touched.
    settings.write_text("{ // mine\n}")
    check("without comments" in puna.error("launch", "qwen", "--model", "mini"), "JSON with comments")
    check(settings.read_text() == "{ // mine\n}", "untouched")


def test_configuring_without_starting(puna):
    puna.env["PATH"] = str(puna.folder)
    url = f"http://{puna.env['PUNA_HOST']}"
    for agent in ("claude", "codex", "opencode"):
        puna.ok("launch", agent, "--model", "mini", "--config")
    claude = json.loads((home(puna) / ".claude" / "settings.json").read_text())
    check(claude["env"]["ANTHROPIC_BASE_URL"] == url and claude["model"] == "mini", claude)
    codex = tomllib.loads((home(puna) / ".codex" / "puna.config.toml").read_text())
    check(codex["model"] == "mini" and codex["model_providers"][codex["model_provider"]]["base_url"] == url + "/v1", codex)
    opencode = json.loads((home(puna) / ".config" / "opencode" / "opencode.json").read_text())
    check(opencode["provider"]["puna"]["options"]["baseURL"] == url + "/v1", opencode)
    for agent in ("claude", "codex", "opencode"):
        puna.ok("launch", agent, "--restore")
    check(not list(home(puna).glob(".codex/*")) and not list(home(puna).glob(".claude/*")), "brought back")
    check("changes no file" in puna.ok("launch", "copilot", "--restore"), "nothing to bring back")


def test_choosing_a_model(puna):
    install(puna, "claude")
    puna.ok("cp", "mini", "other")
    check("--model" in puna.error("launch", "claude"), "nobody can be asked")
    terminal = Terminal(puna, "launch", "claude")
    terminal.read_until(r"1  \S+\r\n\s+2  \S+\r\n")
    terminal.read_until(r"q: quit\): ")
    terminal.type("7\r")
    terminal.read_until(r"There is no 7")
    terminal.read_until(r"q: quit\): ")
    terminal.type("2\r")
    terminal.read_until(r"models: 2")
    check(terminal.wait() == 0, "exit code")
    missing = "127.0.0.1:9/library/no-such-model"
    check("puna pull" in puna.error("launch", "claude", "--model", missing), "nothing is pulled unasked")
    check("127.0.0.1:9" in puna.error("launch", "claude", "--model", missing, "--yes"), "it is tried")
    puna.ok("rm", "other")


def test_menu(puna):
    check(puna.ok() == puna.ok("--help"), "no terminal: the help")
    menu = Terminal(puna)
    menu.read_until(r"1  Chat with a model")
    menu.read_until(r"q: quit\): ")
    menu.type("4\r")
    menu.read_until(r"\$ puna list\r\n")
    menu.read_until(r"mini:latest")
    check(menu.wait() == 0, "exit code")
    menu = Terminal(puna, "--verbose", "--nowordwrap")
    menu.read_until(r"q: quit\): ")
    menu.type("\r")
    menu.read_until(r"1  mini")
    menu.read_until(r"q: quit\): ")
    menu.type("\r")
    menu.read_until(r"\$ puna run mini:latest --verbose --nowordwrap\r\n")
    menu.read_until(r">>> ")
    menu.type("/bye\r")
    check(menu.wait() == 0, "exit code")
    menu = Terminal(puna)
    menu.read_until(r"q: quit\): ")
    menu.type("q\r")
    check(menu.wait() == 0, "exit code")


def test_signing_in_and_out(puna):
    check("there is no key" in puna.ok("signout"), "nothing to leave")
    key = next(line.strip() for line in puna.ok("login").splitlines() if "ssh-ed25519" in line)
    shown = puna.ok("logout")
    check(key in shown and "id_ed25519" in shown and puna.ok("signin").count(key) == 1, shown)


def test_launch_starts_a_server(puna):
    install(puna, "claude", "droid")
    check("models: 1" in puna.ok("launch", "claude", "--model", "mini"), "one that lives as long as the agent")
    check(called(puna)["environment"]["ANTHROPIC_BASE_URL"] != f"http://{puna.env['PUNA_HOST']}", "at its own address")
    check("puna serve" in puna.error("launch", "droid", "--model", "mini"), "a file needs a server that stays")
    check(not (home(puna) / ".factory").exists(), "nothing was written")


if __name__ == "__main__":
    main((Puna, (test_environment_and_arguments, test_agents_that_are_not_there, test_files_are_changed_and_brought_back,
                 test_configuring_without_starting, test_choosing_a_model, test_menu, test_signing_in_and_out)),
         (without_server, (test_launch_starts_a_server,)))
