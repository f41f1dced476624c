from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hookspecs.contracts import KINDS
from noodle_host.cli.inspection import inspect_plugin
from noodle_host.cli.plugin import plugin
from noodle_host.cli.scaffold import create_plugin, name_problem
from noodle_host.errors import PluginError

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}

MANIFEST = """\
[component]
name = "greeter"
version = "1.0.0"
entry_point = "greeter:Greeter"
"""
GREET = """\
@query
    def greet(self, name: str) -> str:
        return f"Hello, {name}!"
"""
CODE = f"""\
from hookspecs import query

class Greeter:
    {GREET}"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``noodle-host plugin`` in an empty folder."""

    def run(*arguments: str | Path, debug: bool = False) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "noodle_host", *(["--debug"] if debug else []), "plugin"]
        return subprocess.run(
            [*command, *map(str, arguments)],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


@pytest.fixture
def write_plugin(tmp_path: Path) -> Callable[..., Path]:
    def write(manifest: str = MANIFEST, code: str = CODE, place: str = "greeter/1.0.0") -> Path:
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "component.toml").write_text(manifest, encoding="utf-8")
        (folder / "greeter.py").write_text(code, encoding="utf-8")
        return folder

    return write


def error_line(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """Return the one line that a command has left, without its start."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("noodle-host: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.removeprefix("noodle-host: ").rstrip("\n")


# What is changed in manifest and code, then the message: where, what, what to do.
# {} is the folder; what comes after it is what the line must hold.
BAD: dict[str, tuple[tuple[str, str], tuple[str, str], list[str]]] = {
    "no TOML": (
        ('"1.0.0"', "1.0.0"),
        ("", ""),
        ["{}/component.toml:3: is not valid TOML: ", "(a text is written in quotes", "[RTUP_0002]"],
    ),
    "unknown key": (
        ("entry_point", "entrypoint"),
        ("", ""),
        [
            "{}/component.toml:4: greeter 1.0.0: [component] has no key 'entrypoint' ",
            "(did you mean 'entry_point'?; the keys are name, ",
        ],
    ),
    "unknown kind": (
        ("entry_point", 'kind = "lexxer"\nentry_point'),
        ("", ""),
        [
            "{}/component.toml:4: greeter 1.0.0: component.kind: there is no kind 'lexxer' ",
            "(did you mean 'lexer'?; the kinds are service, ",
        ],
    ),
    "no entry point": (
        ('entry_point = "greeter:Greeter"\n', ""),
        ("", ""),
        ["{}/component.toml:1: greeter 1.0.0: [component] has no entry_point ", "[RTUP_0003]"],
    ),
    "no module": (
        ("greeter:Greeter", "greter:Greeter"),
        ("", ""),
        [
            "{}/component.toml:4: greeter 1.0.0: there is no module 'greter' in {} ",
            "(did you mean 'greeter'?; ",
        ],
    ),
    "no class": (
        ("greeter:Greeter", "greeter:Greter"),
        ("", ""),
        [
            "{}/component.toml:4: greeter 1.0.0: greeter has no 'Greter' ",
            "(did you mean 'Greeter'?; the module was read from {}/greeter.py)",
        ],
    ),
    "requirement that nobody meets": (
        (MANIFEST, MANIFEST + '[requires]\nvmm = ">=1"\n'),
        ("", ""),
        [
            "{}/component.toml:5: greeter 1.0.0: greeter 1.0.0 requires vmm >=1; found: none ",
            "(did you mean 'vm'?; put a version of vmm that fits on the plugin path; looked in ",
            "[RTUP_0007]",
        ],
    ),
    "requirement of another version": (
        (MANIFEST, MANIFEST + '[requires]\nvm = ">=1000"\n'),
        ("", ""),
        [
            "{}/component.toml:5: greeter 1.0.0: greeter 1.0.0 requires vm >=1000; found: ",
            "or loosen the range in the component.toml of greeter; ",
        ],
    ),
    "unknown hook": (
        ("", ""),
        (GREET, "@hookimpl\n    def shapshot(self): ..."),
        [
            (
                "{}/greeter.py:5: greeter 1.0.0: Greeter.shapshot is marked @hookimpl, "
                "but kind service has no hook 'shapshot' (did you mean 'snapshot'?; the hooks are "
            ),
        ],
    ),
    "hook of the contract missing": (
        ("entry_point", 'kind = "agent"\nentry_point'),
        ("", ""),
        [
            (
                "{}/greeter.py:3: greeter 1.0.0: kind agent requires the hook "
                "assess(self, role: Role, facts: UpgradeFacts) -> Assessment; "
                "Greeter does not implement it (add the method, with @hookimpl) [RTUP_0010]"
            ),
        ],
    ),
    "argument other than the contract's": (
        ("entry_point", 'kind = "vm"\nentry_point'),
        (GREET, "@hookimpl\n    def run(self, code):\n        yield"),
        [
            (
                "{}/greeter.py:5: greeter 1.0.0: Greeter.run requires the argument 'code', "
                "which the hook does not have: run(self, program: Program) -> "
            ),
        ],
    ),
    "result other than the contract's": (
        ("entry_point", 'kind = "vm"\nentry_point'),
        (GREET, "@hookimpl\n    def run(self, program):\n        return []"),
        [
            (
                "{}/greeter.py:5: greeter 1.0.0: Greeter.run is not a generator, "
                "but the contract streams: run(self, program: Program) -> "
            ),
        ],
    ),
    "type other than the contract's": (
        ("entry_point", 'kind = "vm"\nentry_point'),
        (GREET, "@hookimpl\n    def run(self, program: str):\n        yield"),
        [
            (
                "{}/greeter.py:5: greeter 1.0.0: Greeter.run: the argument 'program' is annotated "
                "str, the contract says Program (use the type of the contract, "
            ),
        ],
    ),
    "import that raises": (
        ("", ""),
        ("class", "1 / 0\nclass"),
        [
            (
                "{}/greeter.py:3: greeter 1.0.0: import of greeter failed: "
                "ZeroDivisionError: division by zero [RTUP_0010]"
            ),
        ],
    ),
    "import of what is not installed": (
        ("", ""),
        ("class", "import nowhere_at_all\nclass"),
        [
            "{}/greeter.py:3: greeter 1.0.0: import of greeter failed: ModuleNotFoundError: ",
            "(install nowhere_at_all into the environment of the host, or put it beside",
        ],
    ),
    "syntax": (
        ("", ""),
        ("class Greeter:", "class Greeter"),
        ["{}/greeter.py:3: greeter 1.0.0: import of greeter failed: SyntaxError: expected ':'"],
    ),
    "import that exits": (
        ("", ""),
        ("class", "raise SystemExit(3)\nclass"),
        ["{}/greeter.py:3: greeter 1.0.0: ", "SystemExit: 3 (a plugin must not end the process"],
    ),
    "import that is interrupted": (
        ("", ""),
        ("class", "raise KeyboardInterrupt\nclass"),
        ["{}/greeter.py:3: greeter 1.0.0: import of greeter failed: KeyboardInterrupt [RTUP_0010]"],
    ),
    "import that ends the process": (
        ("", ""),
        ("class", "import os\nos._exit(0)\nclass"),
        [
            (
                "{}/component.toml: greeter 1.0.0: its process ended with status 0 "
                "while it was loaded (does it call os._exit at import or in its constructor? "
            ),
        ],
    ),
    "import that crashes": (
        ("", ""),
        ("class", "import ctypes\nctypes.string_at(0)\nclass"),
        [
            (
                "{}/greeter.py:4: greeter 1.0.0: its process was killed by SIGSEGV "
                "while it was loaded (does native code crash at import or in its constructor? "
            ),
        ],
    ),
    "import that kills itself": (
        ("", ""),
        ("class", "import os\nos.kill(os.getpid(), 9)\nclass"),
        ["{}/component.toml: greeter 1.0.0: its process was killed by SIGKILL ", "out of memory"],
    ),
    "signal without a name": (
        ("", ""),
        ("class", "import os\nos.kill(os.getpid(), 35)\nclass"),
        ["{}/component.toml: greeter 1.0.0: its process was killed by signal 35 "],
    ),
    "constructor that wants arguments": (
        ("", ""),
        ("    @query", "    def __init__(self, size): ...\n    @query"),
        [
            "{}/greeter.py:3: greeter 1.0.0: Greeter() failed: TypeError: ",
            "(a component is made without arguments; its hook start(context) brings the rest)",
        ],
    ),
    "error whose text is not Unicode": (
        ("", ""),
        ("class", 'raise OSError("caf\\udce9")\nclass'),
        ["{}/greeter.py:3: greeter 1.0.0: import of greeter failed: OSError: caf\\udce9 "],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_fault_is_told_with_its_place(case: str, write_plugin: Callable[..., Path]) -> None:
    in_manifest, in_code, expected = BAD[case]
    code = CODE.replace(*in_code).replace("import query", "import hookimpl, query")
    folder = write_plugin(MANIFEST.replace(*in_manifest), code)
    with pytest.raises(PluginError) as caught:
        inspect_plugin(folder, timeout_s=20)
    start, *others = [part.replace("{}", str(folder)) for part in expected]
    line = str(caught.value)
    assert line.startswith(start)
    for other in others:
        assert other in line


def test_check_tells_a_fault_in_one_line(run: Run, write_plugin: Callable[..., Path]) -> None:
    folder = write_plugin(code=f"raise ValueError('two\\nlines')\n{CODE}")
    assert error_line(run("check", folder)) == (
        f"{folder}/greeter.py:1: greeter 1.0.0: import of greeter failed: "
        "ValueError: two lines [RTUP_0010]"
    )


@pytest.mark.parametrize("waits", ["import time\ntime.sleep(600)", "\nwhile True: pass"])
def test_check_gives_up_in_time_and_says_where(
    waits: str, run: Run, write_plugin: Callable[..., Path]
) -> None:
    folder = write_plugin(code=f"{waits}\n{CODE}")
    before = time.monotonic()
    line = error_line(run("check", folder, "--timeout", "0.5"))
    assert time.monotonic() - before < 10
    assert line.startswith(f"{folder}/greeter.py:2: greeter 1.0.0: was not loaded within 0.5 s (")


def test_a_crash_in_a_folder_of_another_alphabet(write_plugin: Callable[..., Path]) -> None:
    folder = write_plugin(code=f"import ctypes\nctypes.string_at(0)\n{CODE}", place="дом/1.0.0")
    with pytest.raises(PluginError) as caught:
        inspect_plugin(folder)
    assert caught.value.where == f"{folder}/greeter.py:2"


def test_check_leaves_no_process_behind(run: Run, write_plugin: Callable[..., Path]) -> None:
    code = (
        "import pathlib, subprocess, sys, threading, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(__file__).with_name('pid').write_text(str(child.pid))\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
    )
    folder = write_plugin(code=code + CODE)
    done = run("check", folder)
    assert done.returncode == 0, done.stderr
    pid = int((folder / "pid").read_text())
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    """Whether there is a process that is not just waiting to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_the_time_to_load_in_is_that_of_the_manifest(
    run: Run, write_plugin: Callable[..., Path]
) -> None:
    manifest = f"{MANIFEST}[budget]\nstartup_timeout_s = 0.3\n"
    folder = write_plugin(manifest, f"import time\ntime.sleep(600)\n{CODE}")
    assert "was not loaded within 0.3 s" in error_line(run("check", folder))


def test_debug_shows_the_traceback_of_the_plugin(
    run: Run, write_plugin: Callable[..., Path]
) -> None:
    folder = write_plugin(code=f"def broken():\n    1 / 0\nbroken()\n{CODE}")
    done = run("check", folder, debug=True)
    assert done.returncode == 1
    assert f'File "{folder}/greeter.py", line 2, in broken' in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"noodle-host: {folder}/greeter.py:2: ")


def test_debug_shows_the_stack_of_a_crash(run: Run, write_plugin: Callable[..., Path]) -> None:
    folder = write_plugin(code=f"import ctypes\nctypes.string_at(0)\n{CODE}")
    done = run("check", folder, debug=True)
    assert "Segmentation fault" in done.stderr
    assert f'File "{folder}/greeter.py", line 2 in <module>' in done.stderr


def test_check_of_what_is_no_plugin(
    run: Run, write_plugin: Callable[..., Path], tmp_path: Path
) -> None:
    folder = write_plugin()
    assert error_line(run("check", "nowhere")).startswith("nowhere: there is no such folder (")
    assert error_line(run("check", folder / "greeter.py")).startswith(
        f"{folder}/greeter.py: is not a folder (give the folder that holds component.toml)"
    )
    assert error_line(run("check", tmp_path)) == (
        f"{tmp_path}/component.toml: there is no such file "
        "(every plugin has a component.toml in the folder of its version) [RTUP_0001]"
    )
    assert "(give the folder of a version: 1.0.0)" in error_line(run("check", folder.parent))


def test_check_of_a_good_plugin(run: Run, write_plugin: Callable[..., Path]) -> None:
    code = CODE + (
        "    def items(self, *names, most=3):\n"
        "        yield from names\n"
        "    def _private(self): ...\n"
        "print('said at import')\n"
    )
    done = run("check", write_plugin(code=code))
    assert done.returncode == 0
    # What the plugin prints is not part of the answer.
    assert done.stderr == "said at import\n"
    assert done.stdout.splitlines() == [
        "greeter 1.0.0 is good",
        "  kind     service",
        "  state    stateless, schema 1",
        "  hooks    none",
        "  methods  greet(name)  query",
        "           items(names, most)  stream",
    ]


def test_check_as_json(run: Run, write_plugin: Callable[..., Path]) -> None:
    done = run("check", write_plugin() / "component.toml", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "component": "greeter",
        "version": "1.0.0",
        "kind": "service",
        "state_model": "stateless",
        "state_schema": 1,
        "fork": True,
        "hooks": [],
        "methods": [
            {
                "name": "greet",
                "parameters": ["name"],
                "query": True,
                "at_most_once": False,
                "stream": False,
            }
        ],
    }


def test_check_warns_of_a_folder_where_it_is_not_found(
    run: Run, write_plugin: Callable[..., Path]
) -> None:
    done = run("check", write_plugin(place="somewhere/else"))
    assert done.returncode == 0
    assert done.stderr == (
        "warning: on a plugin path this folder must be named greeter/1.0.0, "
        "here it is somewhere/else\n"
    )


def test_a_plugin_may_close_what_it_was_given(run: Run, write_plugin: Callable[..., Path]) -> None:
    folder = write_plugin(code=f"import sys\nsys.stdout.close()\nsys.stderr = None\n{CODE}")
    done = run("check", folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_requirements_are_met_on_its_own_plugin_path_and_on_others(
    run: Run, write_plugin: Callable[..., Path], tmp_path: Path
) -> None:
    folder = write_plugin(f'{MANIFEST}[requires]\nhelper = "<2"\nvm = ""\n')
    helper = MANIFEST.replace("greeter", "helper")
    assert "requires helper <2; found: none" in error_line(run("check", folder))
    write_plugin(helper, place="others/helper/1.0.0")
    assert run("check", folder, "--plugin-path", tmp_path / "others").returncode == 0
    write_plugin(helper.replace("1.0.0", "2.0.0"), place="helper/2.0.0")
    assert "requires helper <2; found: 2.0.0" in error_line(run("check", folder))
    write_plugin(helper, place="helper/1.0.0")
    assert run("check", folder).returncode == 0


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_is_a_number_of_seconds(seconds: str, write_plugin: Callable[..., Path]) -> None:
    folder = str(write_plugin())
    done = CliRunner().invoke(plugin, ["check", folder, "--timeout", seconds])
    assert done.exit_code == 2
    assert "--timeout" in done.output


# -- new ---------------------------------------------------------------------


def test_a_new_plugin_passes_its_check_and_its_test(run: Run, tmp_path: Path) -> None:
    done = run("new", "word_count", "--kind", "lexer")
    assert (done.returncode, done.stdout, done.stderr) == (0, "word_count/0.1.0\n", "")
    folder = tmp_path / "word_count" / "0.1.0"
    checked = run("check", folder, "--json")
    assert (checked.returncode, checked.stderr) == (0, "")
    report = json.loads(checked.stdout)
    assert report["component"] == "word_count"
    assert report["version"] == "0.1.0"
    assert report["kind"] == "lexer"
    assert [method["name"] for method in report["methods"]] == ["tokenize"]
    assert outcome_of_tests(folder) == "1 passed"


# Some names are that of another thing in the plugin's own code.
NEW = [(kind, f"my_{kind}") for kind in KINDS]
NEW += [("service", "none"), ("vm", "exit"), ("agent", "assessment"), ("service", "test_it")]


@pytest.fixture(scope="module")
def new_plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    for kind, name in NEW:
        assert name_problem(name) == ""
        create_plugin(name, kind, folder)
    return folder


@pytest.mark.parametrize(("kind", "name"), NEW)
def test_new_plugins_of_every_kind_pass_their_check(
    kind: str, name: str, new_plugins: Path
) -> None:
    report = inspect_plugin(new_plugins / name / "0.1.0")
    assert (report.component, report.kind) == (name, kind)
    assert report.methods


def test_new_plugins_of_every_kind_pass_their_tests(new_plugins: Path) -> None:
    folders = [new_plugins / name / "0.1.0" for _, name in NEW]
    assert outcome_of_tests(*folders) == f"{len(NEW)} passed"


def test_the_test_is_run_from_any_folder_with_any_import_mode(tmp_path: Path) -> None:
    create_plugin("word_count", "service", tmp_path)
    folder = Path("word_count/0.1.0")
    assert outcome_of_tests(folder, mode="importlib", cwd=tmp_path) == "1 passed"


def outcome_of_tests(*folders: Path, mode: str = "prepend", cwd: Path | None = None) -> str:
    options = ["-q", "-p", "no:cacheprovider", f"--import-mode={mode}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *map(str, folders)],
        cwd=cwd or folders[0],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.splitlines()[-1].partition(" in ")[0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Words", "a name has lower-case letters, digits and underscores, a letter first"),
        ("word-count", "a name has lower-case letters"),
        ("2words", "a name has lower-case letters"),
        ("../words", "a name has lower-case letters"),
        ("wörter", "a name has lower-case letters"),
        ("", "a name has lower-case letters"),
        ("words\n", "a name has lower-case letters"),
        ("class", "is a keyword of Python"),
        ("json", "is the name of a module that every worker can import"),
        ("msgspec", "is the name of a module that every worker can import"),
    ],
)
def test_a_bad_name_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(plugin, ["new", name, "--dir", str(tmp_path)])
    assert done.exit_code == 2
    assert reason in done.output
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(run: Run, tmp_path: Path) -> None:
    assert run("new", "words", "--dir", "plugins").returncode == 0
    code = tmp_path / "plugins" / "words" / "0.1.0" / "words.py"
    code.write_text("# mine\n", encoding="utf-8")
    line = error_line(run("new", "words", "--dir", "plugins"))
    assert line == (
        "plugins/words: words 0.1.0: exists already "
        "(nothing was written; choose another name, or another --dir) [RTUP_0005]"
    )
    assert code.read_text(encoding="utf-8") == "# mine\n"


def test_new_where_there_is_no_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = error_line(run("new", "words", "--dir", "file/plugins"))
    assert line.startswith("file/plugins: words 0.1.0: cannot be written: Not a directory (")


def test_new_as_json(run: Run, tmp_path: Path) -> None:
    done = run("new", "words", "--json", "--dir", tmp_path / "plugins")
    assert json.loads(done.stdout) == {
        "folder": str(tmp_path / "plugins" / "words" / "0.1.0"),
        "files": ["component.toml", "pytest.ini", "test_words.py", "words.py"],
    }


# -- list --------------------------------------------------------------------


@pytest.fixture
def plugins(write_plugin: Callable[..., Path], tmp_path: Path) -> Path:
    """Three good plugins and a bad one."""
    for version in ("1.9.0", "1.10.0"):
        write_plugin(MANIFEST.replace("1.0.0", version), place=f"plugins/greeter/{version}")
    helper = MANIFEST.replace("greeter", "helper").replace("entry", 'kind = "agent"\nentry')
    write_plugin(helper, place="plugins/helper/1.0.0")
    write_plugin("[component]\n", place="plugins/broken/1.0.0")
    return tmp_path / "plugins"


def test_list_is_one_row_a_line_in_a_pipe(run: Run, plugins: Path) -> None:
    done = run("list", "--plugin-path", plugins)
    assert done.returncode == 0
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["component", "version", "kind", "state", "folder"]
    rows = [line.split() for line in lines]
    assert [row for row in rows if row[0] in ("greeter", "helper")] == [
        ["greeter", "1.10.0", "service", "stateless", str(plugins / "greeter" / "1.10.0")],
        ["greeter", "1.9.0", "service", "stateless", str(plugins / "greeter" / "1.9.0")],
        ["helper", "1.0.0", "agent", "stateless", str(plugins / "helper" / "1.0.0")],
    ]
    assert [line for line in done.stdout.splitlines() if line != line.rstrip()] == []
    [warning] = [line for line in done.stderr.splitlines() if "/broken/" in line]
    assert warning.startswith(
        f"warning: {plugins}/broken/1.0.0/component.toml:1: broken 1.0.0: [component] has no name ("
    )


def test_list_as_json(run: Run, plugins: Path) -> None:
    data = json.loads(run("list", "--json", "--plugin-path", plugins).stdout)
    components: dict[tuple[str, str], Any] = {
        (c["name"], c["version"]): c for c in data["components"]
    }
    assert components["helper", "1.0.0"] == {
        "name": "helper",
        "version": "1.0.0",
        "kind": "agent",
        "description": "",
        "requires": {},
        "state_model": "stateless",
        "state_schema": 1,
        "entry_point": "helper:Greeter",
        "folder": str(plugins / "helper" / "1.0.0"),
    }
    assert ("greeter", "1.9.0") in components
    assert ("vm", "1.0.0") in components, "the bundled plugins are there as well"
    [error] = [e for e in data["errors"] if e["component"] == "broken"]
    assert (error["version"], error["code"]) == ("1.0.0", "RTUP_0003")


def test_list_of_names_that_are_not_unicode(run: Run, plugins: Path) -> None:
    (plugins / "broken").rename(plugins / os.fsdecode(b"caf\xe9"))
    done = run("list", "--json", "--plugin-path", plugins)
    assert done.returncode == 0
    assert "caf\udce9" in [error["component"] for error in json.loads(done.stdout)["errors"]]
    assert run("list", "--plugin-path", plugins).returncode == 0


def test_list_is_a_table_in_a_terminal(plugins: Path) -> None:
    command = [sys.executable, "-m", "noodle_host", "plugin", "list", "--plugin-path", str(plugins)]
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            command, env={**ENVIRONMENT, "TERM": "xterm"}, stdout=theirs, stderr=subprocess.DEVNULL
        )
        os.close(theirs)
        shown = b""
        # The end of a terminal is an error.
        try:
            while chunk := terminal.read(4096):
                shown += chunk
        except OSError:
            pass
        assert process.wait(timeout=30) == 0
    assert b"\x1b[1m" in shown
    assert max(len(line) for line in re.sub(rb"\x1b[^m]*m", b"", shown).split(b"\r\n")) <= 80
