from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from noodle_host.errors import PluginError
from noodle_host.registry.manifest import (
    Budget,
    Manifest,
    State,
    check_manifest,
    read_manifest,
)

FULL = """\
# The whole of it.
[component]
name = "greeter"
version = "1.0.0"
entry_point = "greeter.app:Greeter.make"
kind = "agent"
description = "Says hello."

[requires]
parser = ">=1.0,<2"
lexer = ""

[state]
model = "replicated"
schema = 3
fork = false

[budget]
memory_bytes = 1000000
cpu_share = 0.5
open_files = 10
threads = 2
processes = 1
startup_timeout_s = 5
call_timeout_s = 1.5
queue_length = 100
"""

GOOD = """\
[component]
name = "greeter"
version = "1.0.0"
entry_point = "greeter:Greeter"
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "component.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path) -> PluginError:
    with pytest.raises(PluginError) as caught:
        read_manifest(path)
    return caught.value


def test_reads_every_key(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, FULL))
    assert manifest == Manifest(
        name="greeter",
        version="1.0.0",
        entry_point="greeter.app:Greeter.make",
        kind="agent",
        description="Says hello.",
        requires={"parser": ">=1.0,<2", "lexer": ""},
        state=State(model="replicated", schema=3, fork=False),
        budget=Budget(
            memory_bytes=1_000_000,
            cpu_share=0.5,
            open_files=10,
            threads=2,
            processes=1,
            startup_timeout_s=5.0,
            call_timeout_s=1.5,
            queue_length=100,
        ),
        root=tmp_path,
    )


def test_four_lines_are_enough(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, GOOD))
    assert (manifest.kind, manifest.requires) == ("service", {})
    assert manifest.state == State(model="stateless", schema=1, fork=True)
    assert manifest.budget == Budget()
    assert str(manifest) == "greeter 1.0.0"


def test_root_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    assert read_manifest(Path("component.toml")).root == tmp_path


# What is changed in the good manifest, then: message, line (0: the file alone), hint, code.
CHANGES: dict[str, tuple[tuple[str, str], str, int, str, str]] = {
    "syntax": (
        ("greeter:Greeter", 'greeter":'),
        "is not valid TOML: Expected newline or end of document after a statement",
        4,
        'a text is written in quotes, as in version = "1.0.0"',
        "RTUP_0002",
    ),
    "key twice": (
        ("entry_point", 'name = "b"\nentry_point'),
        "is not valid TOML: Cannot overwrite a value",
        4,
        'a text is written in quotes, as in version = "1.0.0"',
        "RTUP_0002",
    ),
    "unknown table": (
        ("[component]", "[requirs]\n[component]"),
        "there is no table [requirs]",
        1,
        "did you mean 'requires'?; the tables are [component], [requires], [state], [budget]",
        "RTUP_0002",
    ),
    "no component": (
        (GOOD, "[state]\n"),
        "there is no table [component]",
        0,
        "it holds at least name, version and entry_point",
        "RTUP_0003",
    ),
    "empty": (
        (GOOD, ""),
        "there is no table [component]",
        0,
        "it holds at least name, version and entry_point",
        "RTUP_0003",
    ),
    "component is no table": (
        (GOOD, 'component = "greeter"'),
        "component: expected a table, got str",
        1,
        "",
        "RTUP_0002",
    ),
    "unknown key": (
        ("entry_point", "entrypoint"),
        "[component] has no key 'entrypoint'",
        4,
        ("did you mean 'entry_point'?; the keys are name, version, entry_point, kind, description"),
        "RTUP_0002",
    ),
    "unknown key of the state": (
        (GOOD, GOOD + "[state]\nfork = true\nshema = 2\n"),
        "[state] has no key 'shema'",
        7,
        "did you mean 'schema'?; the keys are model, schema, fork",
        "RTUP_0002",
    ),
    "unknown key of the budget": (
        (GOOD, GOOD + "[budget]\nmemory = 2\n"),
        "[budget] has no key 'memory'",
        6,
        (
            "did you mean 'memory_bytes'?; the keys are memory_bytes, cpu_share, open_files, "
            "threads, processes, startup_timeout_s, call_timeout_s, queue_length"
        ),
        "RTUP_0002",
    ),
    "dotted key": (
        (GOOD, GOOD + "[budget]\n'threads'.most = 2\n"),
        "budget.threads: expected int, got a table",
        6,
        "",
        "RTUP_0002",
    ),
    "missing name": (
        ('name = "greeter"\n', ""),
        "[component] has no name",
        1,
        "name, version and entry_point are required",
        "RTUP_0003",
    ),
    "missing version": (
        ('version = "1.0.0"\n', ""),
        "[component] has no version",
        1,
        "name, version and entry_point are required",
        "RTUP_0003",
    ),
    "missing entry point": (
        ('entry_point = "greeter:Greeter"\n', ""),
        "[component] has no entry_point",
        1,
        "name, version and entry_point are required",
        "RTUP_0003",
    ),
    "name in capitals": (
        ('"greeter"', '"Greeter"'),
        "component.name: 'Greeter' is not a component name",
        2,
        "a name has lower-case letters, digits and underscores, a letter first",
        "RTUP_0002",
    ),
    "name with a line break": (
        ('"greeter"', '"greeter\\n"'),
        "component.name: 'greeter\\n' is not a component name",
        2,
        "a name has lower-case letters, digits and underscores, a letter first",
        "RTUP_0002",
    ),
    "version as a number": (
        ('"1.0.0"', "1.0"),
        "component.version: expected str, got float",
        3,
        'a version is written in quotes, as in version = "1.0.0"',
        "RTUP_0002",
    ),
    "bad version": (
        ('"1.0.0"', '"one"'),
        "component.version: 'one' is not a version",
        3,
        'a version looks like "1.0.0" or "2.0.0rc1" (PEP 440)',
        "RTUP_0002",
    ),
    "bad entry point": (
        ("greeter:Greeter", "greeter.Greeter"),
        "component.entry_point: 'greeter.Greeter' is not an entry point",
        4,
        'it looks like "module:Class", as in "greeter:Greeter"',
        "RTUP_0002",
    ),
    "unknown kind": (
        ("entry_point", 'kind = "lexxer"\nentry_point'),
        "component.kind: there is no kind 'lexxer'",
        4,
        (
            "did you mean 'lexer'?; the kinds are service, lexer, parser, optimizer, "
            "bytecode_generator, vm, jit_compiler, memory_manager, agent"
        ),
        "RTUP_0002",
    ),
    "bad range": (
        (GOOD, GOOD + '[requires]\nparser = "1.x"\n'),
        "requires.parser: '1.x' is not a version range",
        6,
        'a range looks like ">=1.0,<2"; "" is any version (PEP 440)',
        "RTUP_0002",
    ),
    "version in place of a range": (
        (GOOD, GOOD + '[requires]\nlexer = ""\nparser = "1.0"\n'),
        "requires.parser: '1.0' is not a version range",
        7,
        '"==1.0" is that version alone, ">=1.0" that or a newer one',
        "RTUP_0002",
    ),
    "range as a number": (
        (GOOD, GOOD + "[requires]\nparser = 1\n"),
        "requires.parser: expected str, got int",
        6,
        'a range is written in quotes, as in ">=1.0,<2"',
        "RTUP_0002",
    ),
    "bad required name": (
        (GOOD, GOOD + '[requires]\n"my-parser" = ">=1"\n'),
        "requires: 'my-parser' is not a component name",
        6,
        "a name has lower-case letters, digits and underscores, a letter first",
        "RTUP_0002",
    ),
    "requires itself": (
        (GOOD, GOOD + '[requires]\ngreeter = ">=1"\n'),
        "requires.greeter: the component requires itself",
        6,
        "remove the line",
        "RTUP_0002",
    ),
    "requires is no table": (
        (GOOD, f'requires = ["parser"]\n{GOOD}'),
        "requires: expected a table, got array",
        1,
        "",
        "RTUP_0002",
    ),
    "unknown state model": (
        (GOOD, GOOD + '[state]\nmodel = "snapshots"\n'),
        "state.model: there is no state model 'snapshots'",
        6,
        "did you mean 'snapshot'?; the models are stateless, snapshot, replicated",
        "RTUP_0002",
    ),
    "schema below one": (
        (GOOD, GOOD + "[state]\nschema = 0\n"),
        "state.schema: expected int >= 1",
        6,
        "",
        "RTUP_0002",
    ),
    "fork as a text": (
        (GOOD, GOOD + '[state]\nfork = "no"\n'),
        "state.fork: expected bool, got str",
        6,
        "",
        "RTUP_0002",
    ),
    "budget of nothing": (
        (GOOD, GOOD + "[budget]\ncpu_share = 1\nthreads = 0\n"),
        "budget.threads: expected int >= 1",
        7,
        "",
        "RTUP_0002",
    ),
    "budget that is not a number": (
        (GOOD, GOOD + "[budget]\ncall_timeout_s = nan\n"),
        "budget.call_timeout_s: expected float > 0.0",
        6,
        "",
        "RTUP_0002",
    ),
    "budget without end": (
        (GOOD, GOOD + "[budget]\nstartup_timeout_s = inf\n"),
        "budget.startup_timeout_s: expected float <= 1000000000.0",
        6,
        "",
        "RTUP_0002",
    ),
    "budget of more than there is": (
        (GOOD, GOOD + f"[budget]\nmemory_bytes = {10**30}\n"),
        f"budget.memory_bytes: expected int <= {2**62}",
        6,
        "",
        "RTUP_0002",
    ),
    "blank in the version": (
        ('"1.0.0"', '"1.0.0 "'),
        "component.version: '1.0.0 ' is not a version",
        3,
        'a version looks like "1.0.0" or "2.0.0rc1" (PEP 440)',
        "RTUP_0002",
    ),
    "NUL in the name": (
        ('"greeter"', '"gree\\u0000ter"'),
        "component.name: 'gree\\x00ter' is not a component name",
        2,
        "a name has lower-case letters, digits and underscores, a letter first",
        "RTUP_0002",
    ),
    "NUL in the file": (
        ("entry_point", "\0entry_point"),
        "is not valid TOML: Invalid statement",
        4,
        'a text is written in quotes, as in version = "1.0.0"',
        "RTUP_0002",
    ),
    "number of 5000 digits": (
        (GOOD, GOOD + f"[budget]\nthreads = {'9' * 5000}\n"),
        (
            "is not valid TOML: Exceeds the limit (4300 digits) for integer string conversion: "
            "value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit"
        ),
        0,
        'a text is written in quotes, as in version = "1.0.0"',
        "RTUP_0002",
    ),
    "nested without end": (
        (GOOD, GOOD + f"[requires]\nlexer = {'[' * 5000}{']' * 5000}\n"),
        "is nested too deeply",
        0,
        "a manifest has tables and plain values",
        "RTUP_0002",
    ),
    "line separators that TOML does not know": (
        ("entry_point", "# \u2028 \x85\nentrypoint"),
        "[component] has no key 'entrypoint'",
        5,
        ("did you mean 'entry_point'?; the keys are name, version, entry_point, kind, description"),
        "RTUP_0002",
    ),
    "budget as a text": (
        (GOOD, GOOD + '[budget]\nmemory_bytes = "1 GB"\n'),
        "budget.memory_bytes: expected int, got str",
        6,
        "",
        "RTUP_0002",
    ),
    "a text that looks like keys": (
        ("entry_point", 'description = """\nkind = 1\n[state]\n"""\nkind = "lexer "\nentry_point'),
        "component.kind: there is no kind 'lexer '",
        8,
        (
            "did you mean 'lexer'?; the kinds are service, lexer, parser, optimizer, "
            "bytecode_generator, vm, jit_compiler, memory_manager, agent"
        ),
        "RTUP_0002",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_bad_manifest(case: str, tmp_path: Path) -> None:
    (old, new), message, line, hint, code = CHANGES[case]
    assert GOOD.count(old) == 1
    path = write(tmp_path, GOOD.replace(old, new))
    error = refused(path)
    assert error.message == message
    assert error.where == (f"{path}:{line}" if line else str(path))
    assert error.hint == hint
    assert error.code == code
    assert error.phase == "manifest"


def test_an_error_says_whose_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("entry_point =", "entry ="))
    error = refused(path)
    assert (error.component, error.version) == ("greeter", "1.0.0")
    assert str(error).startswith(f"{path}:4: greeter 1.0.0: [component] has no key 'entry' (")


def test_no_file(tmp_path: Path) -> None:
    error = refused(tmp_path / "component.toml")
    assert (error.message, error.code) == ("there is no such file", "RTUP_0001")
    assert error.where == str(tmp_path / "component.toml")


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert (error.message, error.code) == ("cannot be read: Is a directory", "RTUP_0002")


def test_not_utf_8(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.encode() + b'[state]\n# caf\xe9\nmodel = "stateless"\n')
    error = refused(path)
    assert (error.message, error.where) == ("is not UTF-8", f"{path}:6")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())).name == "greeter"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "component.toml")
    error = refused(tmp_path / "component.toml")
    assert (error.message, error.code) == ("cannot be read: Is no regular file", "RTUP_0002")


def test_a_device_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "component.toml").symlink_to("/dev/zero")
    assert refused(tmp_path / "component.toml").message == "cannot be read: Is no regular file"


def test_a_file_that_cannot_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "component.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert refused(path).message == "cannot be read: It has more than 1048576 bytes"


def test_a_link_that_leads_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "component.toml"
    path.symlink_to(path)
    assert refused(path).message == "cannot be read: Too many levels of symbolic links"


def test_a_link_is_followed_to_the_code(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    write(there, GOOD)
    (tmp_path / "here").symlink_to(there)
    assert read_manifest(tmp_path / "here" / "component.toml").root == there


def test_a_path_with_a_nul(tmp_path: Path) -> None:
    assert refused(tmp_path / "a\0b").message == "cannot be read: embedded null byte"


def test_a_folder_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    error = refused(write(folder, GOOD))
    assert (error.message, error.component) == ("the name of its folder is not UTF-8", "greeter")


@given(st.binary(max_size=200))
@example(b"[component]")
@settings(max_examples=100, deadline=None)
def test_whatever_the_bytes_there_is_one_kind_of_error(junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        refused(write(Path(folder), junk))


_toml_values = st.recursive(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.booleans(),
        st.dates(),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)
_tables = {
    "component": ("name", "version", "entry_point", "kind", "description"),
    "requires": ("lexer", "parser"),
    "state": ("model", "schema", "fork"),
    "budget": ("memory_bytes", "cpu_share", "startup_timeout_s"),
}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_value_of_any_key_is_taken_or_refused_with_its_line(data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(sorted(_tables)))
    key = data.draw(st.sampled_from(_tables[table]))
    value = data.draw(_toml_values)
    good = tomllib.loads(GOOD)
    lines = ["[component]"]
    lines += [f"{k} = {_as_toml(v)}" for k, v in good["component"].items() if k != key]
    lines += [] if table == "component" else [f"[{table}]"]
    lines.append(f"{key} = {_as_toml(value)}")
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "\n".join(lines))
        try:
            manifest = read_manifest(path)
        except PluginError as error:
            assert error.where == f"{path}:{len(lines)}"  # noqa: PT017
        else:
            held = manifest if table == "component" else getattr(manifest, table)
            assert (held[key] if table == "requires" else getattr(held, key)) == value


def _as_toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_as_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08X}" for character in value) + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_does_not_import_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "greeter.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    assert read_manifest(write(tmp_path, GOOD)).entry_point == "greeter:Greeter"


def test_a_worker_needs_no_packaging() -> None:
    """The import of packaging takes longer than all else that a worker reads."""
    code = (
        "import sys; before = set(sys.modules); "
        "import noodle_host.errors, noodle_host.registry.manifest; "
        "print([m for m in ('packaging', 'click', 'rich') if f'{m}' in sys.modules])"
    )
    stub = "import sys, types; p = types.ModuleType('noodle_host'); p.__path__ = [sys.argv[1]]; "
    package = Path(__file__).resolve().parents[2] / "noodle_host"
    done = subprocess.run(
        # The package without its __init__, which imports all of the host.
        [sys.executable, "-c", f"{stub} sys.modules['noodle_host'] = p; {code}", str(package)],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "version", "entry_point", "requires", "message"),
    [
        ("Greeter", "1.0", "", {}, "'Greeter' is not a component name"),
        ("greeter", "new", "", {}, "'new' is not a version"),
        ("greeter", "1.0", "greeter", {}, "'greeter' is not an entry point"),
        ("greeter", "1.0", "", {"lexer": "1.0"}, "requires.lexer: '1.0' is not a version range"),
    ],
)
def test_manifest_that_was_not_read(
    name: str, version: str, entry_point: str, requires: dict[str, str], message: str
) -> None:
    manifest = Manifest(
        name=name, version=version, entry_point=entry_point, requires=requires, root=Path()
    )
    with pytest.raises(PluginError) as caught:
        check_manifest(manifest)
    assert caught.value.message == message
    assert (caught.value.component, caught.value.version) == (name, version)
