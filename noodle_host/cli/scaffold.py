"""A new plugin: the files that an author starts from."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from pathlib import Path
from string import Template

from noodle_host.errors import PluginError
from noodle_host.registry.manifest import MANIFEST_NAME

from .templates import TEMPLATES, PluginTemplate

FIRST_VERSION = "0.1.0"

_NAME = re.compile(r"[a-z][a-z0-9_]*")

# The folder of a plugin comes first on the path of its worker: a module of one
# of these names would be imported in place of what the worker itself needs.
_TAKEN = {
    "click",
    "cloudpickle",
    "conftest",
    "dill",
    "hookspecs",
    "msgspec",
    "multiprocess",
    "noodle_host",
    "packaging",
    "pluggy",
    "psutil",
    "pytest",
    "rich",
}

# Without it, whether the test finds the plugin depends on how pytest is
# configured where it is run.
_PYTEST_INI = """\
[pytest]
pythonpath = .
"""

_MANIFEST = Template("""\
[component]
name = "$name"
version = "$version"
entry_point = "$name:$class_name"
kind = "$kind"
description = "Say here what it is for."
""")


def name_problem(name: str) -> str:
    """Return what is wrong with the name of a new component, or an empty text."""
    if not _NAME.fullmatch(name):
        return f"{name!r}: a name has lower-case letters, digits and underscores, a letter first"
    if keyword.iskeyword(name):
        return f"{name!r} is a keyword of Python and cannot name a module"
    if name in sys.stdlib_module_names or name in _TAKEN:
        return f"{name!r} is the name of a module that every worker can import; choose another"
    return ""


def create_plugin(name: str, kind: str, directory: Path) -> Path:
    """Write ``<directory>/<name>/0.1.0/`` and return it; the plugin passes its check.

    ``name`` has been found good by :func:`name_problem`.

    Raises:
        PluginError: there is such a component already, or its folder cannot be
            written; nothing is left behind then.
        KeyError: there is no such kind.
    """
    component = directory / name
    folder = component / FIRST_VERSION
    template = TEMPLATES[kind]
    words = {
        "name": name,
        "class_name": _class_name(name, template),
        "kind": kind,
        "version": FIRST_VERSION,
    }
    files = {
        MANIFEST_NAME: _MANIFEST.substitute(words),
        f"{name}.py": Template(template.module).substitute(words),
        f"test_{name}.py": Template(template.test).substitute(words),
        "pytest.ini": _PYTEST_INI,
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        component.mkdir()
    except FileExistsError as error:
        raise PluginError(
            "exists already",
            where=str(error.filename or component),
            component=name,
            version=FIRST_VERSION,
            code="RTUP_0005",
            phase="create",
            hint="nothing was written; choose another name, or another --dir",
        ) from None
    except OSError as error:
        raise _unwritable(error, name, component) from error
    try:
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(component, ignore_errors=True)
        raise _unwritable(error, name, folder) from error
    return folder


def _class_name(name: str, template: PluginTemplate) -> str:
    """Return ``WordCount`` for ``word_count``, or another name if that one is in use."""
    class_name = name.title().replace("_", "")
    words = set(re.findall(r"\w+", template.module + template.test))
    if keyword.iskeyword(class_name) or class_name in words:
        class_name += "Plugin"
    return class_name


def _unwritable(error: OSError, name: str, folder: Path) -> PluginError:
    return PluginError(
        f"cannot be written: {error.strerror}",
        where=str(error.filename or folder),
        component=name,
        version=FIRST_VERSION,
        phase="create",
        hint="choose a --dir that this user may write to",
    )
