"""Imports parts of packages that import more than the operator uses, which would be in memory and never run.

Each call has to come before the first import of the package: one that was imported before stays as it is.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any, cast


def skip_package_imports(package: str, names: Mapping[str, str] | None = None) -> None:
    """Have submodules of a package imported without what the package imports itself.

    That is imported after all if one of its other names is used.

    Args:
        package: Its name. One that is not installed is left to its first import.
        names: Which of its names come from which of its submodules.
    """
    spec = find_spec(package)
    if package in sys.modules or spec is None:
        return
    module = sys.modules[package] = module_from_spec(spec)
    parent, _, name_in_parent = package.rpartition(".")
    if parent:
        setattr(sys.modules[parent], name_in_parent, module)

    def find(name: str) -> object:
        if names and name in names:
            return getattr(import_module(f"{package}.{names[name]}"), name)
        if name.startswith("__") or spec.loader is None:
            raise AttributeError(f"module {package} has no attribute {name}")
        del vars(module)["__getattr__"]
        spec.loader.exec_module(module)
        return getattr(module, name)

    # https://peps.python.org/pep-0562/
    vars(module)["__getattr__"] = find


@contextmanager
def left_out(*modules: str) -> Iterator[None]:
    """Have modules that a package can do without seem not to be installed while the block lasts."""
    loaded = cast("dict[str, Any]", sys.modules)
    missing = [name for name in modules if name not in loaded]
    # https://docs.python.org/3/reference/import.html#the-module-cache
    loaded.update(dict.fromkeys(missing))
    try:
        yield
    finally:
        for name in missing:
            del loaded[name]


@contextmanager
def postponed(*modules: str, types: Mapping[str, str]) -> Iterator[None]:
    """Have what is imported in the block use modules that are imported once one of their names is used.

    Args:
        modules: Their names. One that was imported before is used as it is.
        types: Types by their modules, which are used in the block by name: nothing but `isinstance` works with them.
    """
    stand_ins = {name: _StandIn(name) for name in (*modules, *types) if name not in sys.modules}
    for name in types.keys() & stand_ins.keys():
        setattr(stand_ins[name], types[name], _PostponedType(types[name], (), {"__module__": name}))
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for stand_in in stand_ins.values():
            stand_in.remove()


class _StandIn(ModuleType):
    """Has the names of the module of that name, which is imported for the first one that is used."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  any name of any module
        if name.startswith("__"):  # the import system looks for some
            raise AttributeError(f"module {self.__name__} has no attribute {name}")
        self.remove()
        return getattr(import_module(self.__name__), name)

    def remove(self) -> None:
        """Leave the place in `sys.modules` to the module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


class _PostponedType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, getattr(import_module(cls.__module__), cls.__name__))


def check_installed(*packages: str) -> None:
    """Raise `ModuleNotFoundError` unless all of these packages are installed; imports none of them."""
    for name in packages:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name}", name=name)
