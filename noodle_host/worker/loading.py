"""Loading a component inside its worker: import, construct, check, collect methods."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn

import pluggy

from hookspecs.contracts import load_contract
from hookspecs.hooks import ComponentHooks
from hookspecs.markers import PROJECT_NAME
from noodle_host.errors import PluginError
from noodle_host.registry.manifest import Manifest
from noodle_host.registry.suggestion import did_you_mean, hints

from .contract_check import Hook, check_component_hook, check_contract_hook
from .fault import FaultReporter, line_of_class, line_of_function
from .methods import Method, build_method
from .signature import declaration

#: The hooks without which a state model is an empty promise.
_HOOKS_OF_MODEL: Mapping[str, tuple[str, ...]] = {
    "stateless": (),
    "snapshot": ("snapshot", "restore"),
    "replicated": ("snapshot", "restore"),
}


@dataclass(frozen=True, slots=True)
class LoadedComponent:
    """A component that is ready to start.

    ``hooks`` is pluggy's relay: ``hooks.start(context=...)`` calls the
    component's hook, or does nothing and returns None if it has none;
    ``hook_names`` are the component hooks that it has. ``methods`` maps the
    id of a method to it.
    """

    instance: Any
    manifest: Manifest
    hooks: pluggy.HookRelay
    hook_names: frozenset[str]
    methods: dict[int, Method]


def load_component(manifest: Manifest) -> LoadedComponent:
    """Import a component's code, construct it and check it against its contract.

    Puts the component's folder first on ``sys.path``; a process loads one
    version of a component.

    Raises:
        PluginError: what is wrong; what the plugin raised is the ``__cause__``.
    """
    faults = FaultReporter(manifest)
    instance = _construct(_find_entry_point(manifest, faults), faults)
    return _Loader(manifest, instance, faults).load()


class _Loader:
    """Checks one instance, with pluggy and beyond it."""

    def __init__(self, manifest: Manifest, instance: Any, faults: FaultReporter) -> None:
        self._manifest = manifest
        self._instance = instance
        self._class: type = type(instance)
        self._faults = faults
        self._contract = load_contract(manifest.kind)
        self._component_hooks = _functions(ComponentHooks)
        self._contract_hooks = _functions(self._contract) if self._contract else {}
        self._callables = _callables(self._class)
        self._plugins = _PluginManager(self._callables)

    def load(self) -> LoadedComponent:
        self._plugins.add_hookspecs(ComponentHooks)
        if self._contract is not None:
            self._plugins.add_hookspecs(self._contract)
        implemented = self._implemented_hooks()
        self._register(implemented)
        for name, hook in implemented.items():
            if name in self._contract_hooks:
                check_contract_hook(hook, self._faults)
            elif name in self._component_hooks:
                check_component_hook(hook, self._faults)
        self._check_complete(implemented)
        hook_names = frozenset(implemented.keys() & self._component_hooks.keys())
        self._check_state_model(hook_names)
        return LoadedComponent(
            instance=self._instance,
            manifest=self._manifest,
            hooks=self._plugins.hook,
            hook_names=hook_names,
            methods=self._methods(implemented),
        )

    def _implemented_hooks(self) -> dict[str, Hook]:
        """Return what is marked @hookimpl and has a declaration, by the hook's name."""
        declared = {**self._component_hooks, **self._contract_hooks}
        found: dict[str, Hook] = {}
        for attribute in self._callables:
            options = self._plugins.parse_hookimpl_opts(self._instance, attribute)
            if options is None:
                continue
            function = getattr(self._instance, attribute)
            name = options.get("specname") or attribute
            if options.get("wrapper") or options.get("hookwrapper"):
                raise self._faults.error(
                    f"{self._class.__qualname__}.{attribute} is a hook wrapper",
                    where=line_of_function(function),
                    hint="a component is the only plugin of its worker; "
                    "there is nothing to wrap: use plain @hookimpl",
                )
            if name not in declared:
                continue
            if name in found:
                raise self._faults.error(
                    f"{found[name].label} and {self._class.__qualname__}.{attribute} "
                    f"both implement the hook {name}",
                    where=line_of_function(function),
                    hint="keep one of them",
                )
            found[name] = Hook(name, declared[name], function)
        return found

    def _register(self, implemented: Mapping[str, Hook]) -> None:
        try:
            self._plugins.register(self._instance, self._manifest.name)
            self._plugins.check_pending()
        except pluggy.PluginValidationError as error:
            self._explain(error, implemented)

    def _explain(
        self, error: pluggy.PluginValidationError, implemented: Mapping[str, Hook]
    ) -> NoReturn:
        """Say what pluggy found, with the line and the likely cause."""
        for hook in implemented.values():
            check_component_hook(hook, self._faults)
        for attribute in self._callables:
            options = self._plugins.parse_hookimpl_opts(self._instance, attribute)
            name = (options or {}).get("specname") or attribute
            if options is None or name in implemented:
                continue
            known = [*self._contract_hooks, *self._component_hooks]
            raise self._faults.error(
                f"{self._class.__qualname__}.{attribute} is marked @hookimpl, but kind "
                f"{self._manifest.kind} has no hook {name!r}",
                where=line_of_function(getattr(self._instance, attribute)),
                hint=hints(
                    did_you_mean(name, known),
                    f"the hooks are {', '.join(known)}",
                    "a method that only callers call needs no @hookimpl",
                ),
            ) from error
        reason = " ".join(str(error).split())
        raise self._faults.error(
            f"pluggy refuses it: {reason}", where=line_of_class(self._class)
        ) from error

    def _check_complete(self, implemented: Mapping[str, Hook]) -> None:
        for name, declared in self._contract_hooks.items():
            if name not in implemented:
                there = self._callables.get(name)
                raise self._faults.error(
                    f"kind {self._manifest.kind} requires the hook {declaration(declared)}; "
                    f"{self._class.__qualname__} does not implement it",
                    where=line_of_class(self._class)
                    if there is None
                    else line_of_function(getattr(self._instance, name)),
                    hint="add the method, with @hookimpl"
                    if there is None
                    else "is @hookimpl missing?",
                )
        for name in self._component_hooks:
            if name in self._callables and name not in implemented:
                raise self._faults.error(
                    f"{self._class.__qualname__}.{name} has the name of a component hook "
                    "but does not implement it",
                    where=line_of_function(getattr(self._instance, name)),
                    hint="is @hookimpl missing? a method that callers call needs another name",
                )

    def _check_state_model(self, hook_names: frozenset[str]) -> None:
        model = self._manifest.state.model
        for name in _HOOKS_OF_MODEL[model]:
            if name not in hook_names:
                raise self._faults.error(
                    f"the state model {model} requires the hook "
                    f"{declaration(self._component_hooks[name])}; "
                    f"{self._class.__qualname__} does not implement it",
                    where=self._faults.in_manifest("state", "model"),
                    hint='implement it, or say model = "stateless" in the manifest',
                )

    def _methods(self, implemented: Mapping[str, Hook]) -> dict[int, Method]:
        functions: dict[str, Callable[..., Any]] = {}
        hook_functions = {hook.function for hook in implemented.values()}
        for attribute in self._callables:
            function = getattr(self._instance, attribute)
            if not attribute.startswith("_") and function not in hook_functions:
                functions[attribute] = function
        for name in self._contract_hooks:
            functions[name] = implemented[name].function
        methods: dict[int, Method] = {}
        for name, function in functions.items():
            method = build_method(name, function, self._faults, self._contract_hooks.get(name))
            twin = methods.setdefault(method.method_id, method)
            if twin is not method:
                raise self._faults.error(
                    f"the methods {twin.name} and {name} have the same id {method.method_id:#010x}",
                    where=line_of_function(function),
                    hint="ids are CRC-32 of the name; rename one of them",
                )
        return methods


class _PluginManager(pluggy.PluginManager):
    """pluggy, looking at the methods of the class alone.

    By itself it looks at every attribute of the instance, and so would run
    the component's properties before it is started.
    """

    def __init__(self, callables: Mapping[str, object]) -> None:
        super().__init__(PROJECT_NAME)
        self._callables = callables

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if name in self._callables else None


def _find_entry_point(manifest: Manifest, faults: FaultReporter) -> Callable[[], Any]:
    module_name, _, attributes = manifest.entry_point.partition(":")
    root = str(manifest.root)
    if sys.path[:1] != [root]:
        sys.path[:] = [root, *(entry for entry in sys.path if entry != root)]
    _check_not_imported(module_name.partition(".")[0], manifest.root, faults)
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(
            f"{error.name}."
        ):
            modules = [path.stem for path in sorted(manifest.root.glob("*.py"))]
            raise faults.error(
                f"there is no module {error.name!r} in {manifest.root}",
                where=faults.in_manifest("component", "entry_point"),
                hint=hints(
                    did_you_mean(str(error.name), modules),
                    "the entry point is module:Class, and the module lies beside component.toml",
                ),
            ) from error
        raise _raised(error, f"import of {module_name}", faults) from error
    found: Any = module
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except Exception as error:
            if not isinstance(error, AttributeError):
                raise _raised(error, f"reading {attribute} of {module_name}", faults) from error
            names = [name for name in dir(found) if not name.startswith("_")]
            raise faults.error(
                f"{getattr(found, '__name__', module_name)} has no {attribute!r}",
                where=faults.in_manifest("component", "entry_point"),
                hint=hints(
                    did_you_mean(attribute, names),
                    f"the module was read from {getattr(module, '__file__', None)}",
                ),
            ) from error
    if not callable(found):
        raise faults.error(
            f"the entry point {manifest.entry_point} is of type {type(found).__name__} "
            "and cannot be called",
            where=faults.in_manifest("component", "entry_point"),
            hint="name a class, or a function without arguments that makes the component",
        )
    result: Callable[[], Any] = found
    return result


def _check_not_imported(name: str, root: Path, faults: FaultReporter) -> None:
    """Refuse a module of the plugin whose name another module has taken.

    The import would give that other module, whatever ``sys.path`` says.
    """
    module = sys.modules.get(name)
    if module is None or not ((root / name).is_dir() or (root / f"{name}.py").is_file()):
        return
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    if not any(place and Path(place).resolve().is_relative_to(root) for place in places):
        raise faults.error(
            f"its module {name!r} has the name of one that is already imported, "
            f"from {next(filter(None, places), 'the interpreter')}",
            where=faults.in_manifest("component", "entry_point"),
            hint="rename the module; one process holds one version of a component",
        )


def _construct(entry_point: Callable[[], Any], faults: FaultReporter) -> Any:
    name = getattr(entry_point, "__qualname__", repr(entry_point))
    try:
        instance = entry_point()
    except BaseException as error:
        raise _raised(error, f"{name}()", faults, entry_point) from error
    if instance is None:
        raise faults.error(
            f"{name}() returned None instead of the component",
            where=line_of_function(entry_point),
            hint="is a return missing?",
        )
    return instance


def _raised(
    error: BaseException,
    what: str,
    faults: FaultReporter,
    entry_point: Callable[[], Any] | None = None,
) -> PluginError:
    """Return the error for what the plugin raised; the caller chains the cause."""
    where = faults.in_traceback(error.__traceback__)
    hint = ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}"
    elif isinstance(error, ModuleNotFoundError):
        hint = f"install {error.name} into the environment of the host, or put it beside the plugin"
    elif isinstance(error, SystemExit):
        hint = "a plugin must not end the process; keep what it runs by itself under __main__"
    elif isinstance(error, TypeError) and entry_point is not None and not where:
        # Raised by the call itself, before any line of the plugin ran.
        hint = "a component is made without arguments; its hook start(context) brings the rest"
    if not where and inspect.isclass(entry_point):
        where = line_of_class(entry_point)
    said = _said(error)
    shown = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return faults.error(
        f"{what} failed: {shown}",
        where=where or faults.in_manifest("component", "entry_point"),
        hint=hint,
    )


def _said(error: BaseException) -> str:
    try:
        return str(error.msg if isinstance(error, SyntaxError) else error)
    except Exception as second:
        return f"(its text cannot be shown: {type(second).__name__})"


def _functions(cls: type) -> dict[str, Callable[..., Any]]:
    """Return the hooks that a class of hook declarations declares, in order."""
    return {
        name: value
        for name, value in vars(cls).items()
        if isinstance(value, FunctionType) and hasattr(value, f"{PROJECT_NAME}_spec")
    }


def _callables(cls: type) -> dict[str, object]:
    """Return what can be called on an instance, in the order of the source.

    Nothing is bound or run here: properties and other descriptors that
    compute are left out.
    """
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        if base is object:
            continue
        for name, value in vars(base).items():
            if name.startswith("__"):
                continue
            bindable = callable(value) and hasattr(type(value), "__get__")
            if isinstance(value, classmethod | functools.partialmethod) or (
                bindable and not isinstance(value, type)
            ):
                found[name] = value
            else:
                # A subclass may have replaced a method by something else.
                found.pop(name, None)
    return found
