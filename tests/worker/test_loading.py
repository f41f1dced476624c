from __future__ import annotations

import importlib
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from noodle_host.errors import PluginError
from noodle_host.registry.manifest import read_manifest
from noodle_host.worker.loading import LoadedComponent, load_component

HEAD = "from hookspecs import at_most_once, hookimpl, query\n"

Load = Callable[..., LoadedComponent]
Refused = Callable[..., PluginError]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of a plugin; what is imported from it is forgotten afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    sys.modules.pop("plugin_of_test", None)
    importlib.invalidate_caches()
    linecache.clearcache()


@pytest.fixture
def load(folder: Path) -> Load:
    def load(
        code: str,
        *,
        kind: str = "service",
        entry_point: str = "plugin_of_test:Plugin",
        more: str = "",
    ) -> LoadedComponent:
        (folder / "component.toml").write_text(
            f'[component]\nname = "it"\nversion = "1.0"\nentry_point = "{entry_point}"\n'
            f'kind = "{kind}"\n{more}',
            encoding="utf-8",
        )
        (folder / "plugin_of_test.py").write_text(HEAD + code, encoding="utf-8")
        return load_component(read_manifest(folder / "component.toml"))

    return load


@pytest.fixture
def refused(load: Load, folder: Path) -> Refused:
    """Load what must be refused; ``where`` comes without the folder."""

    def refused(code: str, **facts: str) -> PluginError:
        with pytest.raises(PluginError) as caught:
            load(code, **facts)
        error = caught.value
        assert (error.component, error.version, error.phase) == ("it", "1.0", "load")
        error.where = error.where.removeprefix(f"{folder}/")
        return error

    return refused


def names(loaded: LoadedComponent) -> list[str]:
    return [method.name for method in loaded.methods.values()]


# -- what is loaded ------------------------------------------------------------


def test_the_public_methods_in_the_order_of_the_source(load: Load) -> None:
    loaded = load(
        "class Base:\n"
        "    def base(self): return 'base'\n"
        "    def replaced(self): return 'old'\n"
        "    def gone(self): ...\n"
        "class Plugin(Base):\n"
        "    limit = 3\n"
        "    gone = None\n"
        "    class Inner: ...\n"
        "    def zebra(self, a): return a\n"
        "    def _private(self): ...\n"
        "    def __call__(self): ...\n"
        "    @staticmethod\n"
        "    def static(a): return a\n"
        "    @classmethod\n"
        "    def of_class(cls): return cls.__name__\n"
        "    @property\n"
        "    def computed(self): raise RuntimeError('run while loading')\n"
        "    def replaced(self): return 'new'\n"
        "    def ant(self): ...\n"
    )
    assert names(loaded) == ["base", "replaced", "zebra", "static", "of_class", "ant"]
    methods = {method.name: method for method in loaded.methods.values()}
    assert methods["replaced"].function() == "new"
    assert methods["of_class"].function() == "Plugin"
    assert methods["static"].parameters == ("a",)
    assert {method_id == method.method_id for method_id, method in loaded.methods.items()} == {True}


def test_component_hooks_are_no_methods(load: Load) -> None:
    loaded = load(
        "class Plugin:\n"
        "    @hookimpl\n"
        "    def start(self, context): self.context = context\n"
        "    @hookimpl(specname='health')\n"
        "    def how_are_you(self): return 'tired'\n"
        "    def work(self): ...\n"
    )
    assert loaded.hook_names == {"start", "health"}
    assert names(loaded) == ["work"]
    loaded.hooks.start(context="the context")
    assert loaded.instance.context == "the context"
    assert loaded.hooks.health() == "tired"
    assert loaded.hooks.stop() is None


def test_the_hooks_of_the_contract_are_methods(load: Load) -> None:
    loaded = load(
        "class Plugin:\n"
        "    @hookimpl(specname='run')\n"
        "    def execute(self, program):\n"
        "        yield from ()\n"
        "    def more(self): ...\n",
        kind="vm",
    )
    assert names(loaded) == ["more", "run"]
    [run] = [method for method in loaded.methods.values() if method.name == "run"]
    assert run.is_stream


def test_the_entry_point_may_be_a_function_or_nested(load: Load) -> None:
    code = (
        "class Plugin:\n    class Inner:\n        def a(self): ...\ndef make(): return Plugin()\n"
    )
    assert type(load(code, entry_point="plugin_of_test:make").instance).__name__ == "Plugin"
    loaded = load(code, entry_point="plugin_of_test:Plugin.Inner")
    assert names(loaded) == ["a"]


def test_a_module_beside_it_is_found_first(load: Load, folder: Path) -> None:
    (folder / "helper_of_test.py").write_text("VALUE = 7\n")
    loaded = load("import helper_of_test\nclass Plugin:\n    value = helper_of_test.VALUE\n")
    assert loaded.instance.value == 7
    assert sys.path[0] == str(folder)


# -- what is refused -----------------------------------------------------------


@pytest.mark.parametrize(
    ("entry_point", "message", "hint"),
    [
        (
            "plugin_of_tests:Plugin",
            "there is no module 'plugin_of_tests' in ",
            "did you mean 'plugin_of_test'?; the entry point is module:Class, ",
        ),
        (
            "plugin_of_test.sub:Plugin",
            "there is no module 'plugin_of_test.sub' in ",
            "did you mean 'plugin_of_test'?; the entry point is module:Class, ",
        ),
        (
            "plugin_of_test:Plugins",
            "plugin_of_test has no 'Plugins'",
            "did you mean 'Plugin'?; the module was read from ",
        ),
        ("plugin_of_test:Plugin.Inner", "Plugin has no 'Inner'", "the module was read from "),
        (
            "plugin_of_test:VALUE",
            "the entry point plugin_of_test:VALUE is of type int and cannot be called",
            "name a class, or a function without arguments that makes the component",
        ),
    ],
)
def test_an_entry_point_that_is_not_there(
    entry_point: str, message: str, hint: str, refused: Refused
) -> None:
    error = refused("VALUE = 7\nclass Plugin: ...\n", entry_point=entry_point)
    assert error.message.startswith(message)
    assert error.hint.startswith(hint)
    assert error.where == "component.toml:4"


@pytest.mark.parametrize(
    ("code", "where", "message", "hint"),
    [
        ("1 / 0", 2, "ZeroDivisionError: division by zero", ""),
        ("raise ValueError", 2, "ValueError", ""),
        ("def f(:", 2, "SyntaxError: invalid syntax", ""),
        ("import no_such_thing", 2, "ModuleNotFoundError: No module named 'no_such_thing'", "inst"),
        ("from hookspecs import lexer", 2, "ImportError: cannot import name 'lexer' from ", ""),
        ("raise SystemExit(2)", 2, "SystemExit: 2", "a plugin must not end the process; "),
        ("raise KeyboardInterrupt", 2, "KeyboardInterrupt", ""),
        ("raise BaseException('x')", 2, "BaseException: x", ""),
        ("def f(): f()\nf()", 2, "RecursionError: maximum recursion depth exceeded", ""),
        ("import json\njson.loads('')", 3, "JSONDecodeError: Expecting value: ", ""),
        (
            "class E(Exception):\n    def __str__(self): 1 / 0\nraise E",
            4,
            "E: (its text cannot be shown: ZeroDivisionError)",
            "",
        ),
    ],
)
def test_an_import_that_fails(
    code: str, where: int, message: str, hint: str, refused: Refused
) -> None:
    error = refused(f"{code}\nclass Plugin: ...\n")
    assert error.message.startswith(f"import of plugin_of_test failed: {message}")
    assert error.where == f"plugin_of_test.py:{where}"
    assert error.hint.startswith(hint)
    assert bool(error.hint) == bool(hint)
    assert error.__cause__ is not None


def test_code_with_a_nul_has_a_place_too(refused: Refused) -> None:
    error = refused("\0")
    assert error.message.startswith("import of plugin_of_test failed: ")
    assert error.where in ("component.toml:4", "plugin_of_test.py:2", "plugin_of_test.py:1")


@pytest.mark.parametrize(
    ("body", "line", "message", "hint"),
    [
        ("    def __init__(self): 1 / 0", 3, "ZeroDivisionError: division by zero", ""),
        ("    def __init__(self, size): ...", 2, "TypeError: Plugin.__init__() missing ", "a comp"),
        ("    def __init__(self): raise SystemExit", 3, "SystemExit", "a plugin must not end "),
        ("    def __init__(self): raise KeyboardInterrupt", 3, "KeyboardInterrupt", ""),
        ("    def __init__(self): raise TypeError('own')", 3, "TypeError: own", ""),
    ],
)
def test_a_constructor_that_fails(
    body: str, line: int, message: str, hint: str, refused: Refused
) -> None:
    error = refused(f"class Plugin:\n{body}\n")
    assert error.message.startswith(f"Plugin() failed: {message}")
    assert error.where == f"plugin_of_test.py:{line}"
    assert error.hint.startswith(hint)
    assert bool(error.hint) == bool(hint)


def test_a_function_that_makes_nothing(refused: Refused) -> None:
    error = refused("def make(): ...\n", entry_point="plugin_of_test:make")
    assert error.message == "make() returned None instead of the component"
    assert error.where == "plugin_of_test.py:2"


def test_reading_the_class_may_fail(refused: Refused) -> None:
    error = refused("def __getattr__(name): raise OSError(name)\n")
    assert error.message == "reading Plugin of plugin_of_test failed: OSError: Plugin"
    assert error.where == "plugin_of_test.py:2"


def test_a_module_whose_name_is_taken(refused: Refused, folder: Path) -> None:
    (folder / "pluggy.py").write_text("class Plugin: ...\n")
    error = refused("", entry_point="pluggy:Plugin")
    assert error.message.startswith("its module 'pluggy' has the name of one that is already ")
    assert error.hint == "rename the module; one process holds one version of a component"
    assert error.where == "component.toml:4"


VM = "class Plugin:\n"


@pytest.mark.parametrize(
    ("kind", "body", "line", "message", "hint"),
    [
        (
            "service",
            "    @hookimpl\n    def snapshto(self): ...",
            4,
            "Plugin.snapshto is marked @hookimpl, but kind service has no hook 'snapshto'",
            "did you mean 'snapshot'?; the hooks are start, health, snapshot, ",
        ),
        (
            "vm",
            "    @hookimpl\n    def rum(self, program): ...",
            4,
            "Plugin.rum is marked @hookimpl, but kind vm has no hook 'rum'",
            "did you mean 'run'?; the hooks are run, start, ",
        ),
        (
            "service",
            "    @hookimpl(specname='begin')\n    def start(self): ...",
            4,
            "Plugin.start is marked @hookimpl, but kind service has no hook 'begin'",
            "the hooks are start, ",
        ),
        (
            "service",
            "    @hookimpl(wrapper=True)\n    def stop(self): yield",
            4,
            "Plugin.stop is a hook wrapper",
            "a component is the only plugin of its worker; ",
        ),
        (
            "service",
            (
                "    @hookimpl\n    def stop(self): ...\n"
                "    @hookimpl(specname='stop')\n    def end(self): ..."
            ),
            6,
            "Plugin.stop and Plugin.end both implement the hook stop",
            "keep one of them",
        ),
        (
            "service",
            "    @hookimpl\n    def restore(self, stat): ...",
            4,
            (
                "Plugin.restore requires the argument 'stat', which the hook does not have: "
                "restore(self, state: object) -> None"
            ),
            "did you mean 'state'?; rename it, or give it a default value",
        ),
        (
            "service",
            "    def health(self): ...",
            3,
            "Plugin.health has the name of a component hook but does not implement it",
            "is @hookimpl missing? ",
        ),
        (
            "vm",
            "    def run(self, program): yield",
            3,
            (
                "kind vm requires the hook run(self, program: Program) -> "
                "Iterator[RunEvent | SafePoint]; Plugin does not implement it"
            ),
            "is @hookimpl missing?",
        ),
        (
            "vm",
            "    ...",
            2,
            (
                "kind vm requires the hook run(self, program: Program) -> "
                "Iterator[RunEvent | SafePoint]; Plugin does not implement it"
            ),
            "add the method, with @hookimpl",
        ),
        (
            "vm",
            "    @hookimpl\n    def run(self, program: str): yield",
            4,
            "Plugin.run: the argument 'program' is annotated str, the contract says Program",
            "use the type of the contract, ",
        ),
        (
            "service",
            "    async def soon(self): ...",
            3,
            "Plugin.soon is asynchronous",
            "a worker calls plain functions and generators; remove async",
        ),
        (
            "service",
            "    @hookimpl\n    async def stop(self): ...",
            4,
            "Plugin.stop is asynchronous",
            "a worker calls plain functions and generators; remove async",
        ),
        (
            "service",
            "    @hookimpl\n    def start(self, context): yield",
            4,
            "Plugin.start is a generator, and would never be run",
            "there must be no yield in a component hook",
        ),
        (
            "service",
            "    @query\n    @at_most_once\n    def pay(self): ...",
            5,
            "Plugin.pay is marked both @query and @at_most_once",
            "a query may always be executed again; keep one of the two",
        ),
        (
            "service",
            "    def plumless(self): ...\n    def buckeroo(self): ...",
            4,
            "the methods plumless and buckeroo have the same id 0x4ddb0c25",
            "ids are CRC-32 of the name; rename one of them",
        ),
    ],
)
def test_a_class_that_does_not_fit(
    kind: str, body: str, line: int, message: str, hint: str, refused: Refused
) -> None:
    error = refused(f"class Plugin:\n{body}\n", kind=kind)
    assert error.message == message
    assert error.where == f"plugin_of_test.py:{line}"
    assert error.hint.startswith(hint)


@pytest.mark.parametrize("model", ["snapshot", "replicated"])
def test_a_state_model_has_its_hooks(model: str, refused: Refused, load: Load) -> None:
    more = f'[state]\nmodel = "{model}"\n'
    half = "class Plugin:\n    @hookimpl\n    def snapshot(self): ...\n"
    error = refused(half, more=more)
    assert error.message == (
        f"the state model {model} requires the hook restore(self, state: object) -> None; "
        "Plugin does not implement it"
    )
    assert error.where == "component.toml:7"


def test_a_state_model_that_is_whole(load: Load) -> None:
    loaded = load(
        "class Plugin:\n"
        "    @hookimpl\n    def snapshot(self): ...\n"
        "    @hookimpl\n    def restore(self, state): ...\n",
        more='[state]\nmodel = "snapshot"\n',
    )
    assert loaded.hook_names == {"snapshot", "restore"}


def test_the_line_of_a_lambda_is_its_own(refused: Refused) -> None:
    error = refused("class Plugin:\n    start = lambda self: None\n    def later(self): ...\n")
    assert error.message.endswith(
        "start has the name of a component hook but does not implement it"
    )
    assert error.where == "plugin_of_test.py:3"
