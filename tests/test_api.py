"""The public API: flat, explicit, typed, and light to import."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import resources

import pytest

import noodle_host
from noodle_host import errors


def test_all_names_exactly_what_the_package_offers() -> None:
    assert sorted(noodle_host.__all__) == noodle_host.__all__
    for name in noodle_host.__all__:
        assert getattr(noodle_host, name).__name__ == name
    source = inspect.getsource(noodle_host)
    typed = {
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    # What type checkers see is what there is.
    assert typed == set(noodle_host.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Hots'"):
        noodle_host.Hots  # type: ignore[attr-defined]  # noqa: B018


def test_every_error_is_public_and_derives_from_host_error() -> None:
    classes = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    found = {name for name, value in classes.items() if issubclass(value, Exception)}
    assert found
    assert found <= set(noodle_host.__all__)
    assert all(issubclass(classes[name], noodle_host.HostError) for name in found)


def test_every_public_name_has_a_docstring() -> None:
    missing = []
    for name in noodle_host.__all__:
        value = getattr(noodle_host, name)
        if not inspect.getdoc(value):
            missing.append(name)
        if inspect.isclass(value):
            missing += [
                f"{name}.{attribute}"
                for attribute, member in vars(value).items()
                if not attribute.startswith("_")
                and inspect.isfunction(member)
                and not inspect.getdoc(getattr(value, attribute))
            ]
    assert missing == []


def test_both_packages_are_marked_as_typed() -> None:
    for package in ("noodle_host", "hookspecs"):
        assert resources.files(package).joinpath("py.typed").is_file()


def _imported_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(result.stdout.split())


def test_a_worker_imports_next_to_nothing() -> None:
    loaded = _imported_by("import noodle_host.worker.main")
    heavy = {"asyncio", "click", "rich", "psutil", "packaging", "noodle_host.supervise"}
    assert loaded & heavy == set()


def test_hookspecs_import_nothing_of_the_host() -> None:
    loaded = _imported_by("import hookspecs, hookspecs.ast, hookspecs.bytecode")
    assert {name for name in loaded if name.startswith("noodle_host")} == set()
    assert "cloudpickle" not in loaded


def test_the_host_imports_no_command_line() -> None:
    assert _imported_by("import noodle_host") & {"click", "rich", "pytest"} == set()
