"""Lua as Argo CD runs it: version 5.1 with the table library, an `os` of time and date alone, and nothing else beside.

https://argo-cd.readthedocs.io/en/stable/operator-manual/health/#custom-health-checks
"""

from typing import Any, Final

from lupa import lua51

_REMOVED: Final = ("coroutine", "debug", "io", "math", "python", "string")


def run(script: str, obj: dict[str, Any]) -> Any:  # noqa: ANN401 - a script returns what it likes
    """What a script returns of a Kubernetes object, which it finds in the variable `obj`; tables become dictionaries.

    Raises:
        lua51.LuaError: The script is wrong, or uses what Argo CD does not lend it.
    """
    lua = lua51.LuaRuntime(unpack_returned_tuples=True, register_builtins=False)
    lua.execute(
        "getmetatable('').__index = nil; for name in pairs(os) do "
        "if name ~= 'time' and name ~= 'date' then os[name] = nil end end"
    )
    for name in _REMOVED:
        lua.globals()[name] = None
    lua.globals().obj = lua.table_from(obj, recursive=True)
    return _plain(lua.execute(script))


def _plain(value: Any) -> Any:  # noqa: ANN401 - the same
    return {key: _plain(latched) for key, latched in value.items()} if lua51.lua_type(value) == "table" else value
