"""Templates of a target: what each key shall hold, written in Liquid over the entries.

The language, which `vaultsync.render.liquid` bounds, has outputs with filters, if, unless, for over the entries,
assign, capture and raw. An entry is reached by its key, or as `entries['tls.crt']` where the key is not a name. One
whose bytes are not UTF-8 can only be used through `b64encode`.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from vaultsync.errors import Reason, SyncError

MAX_SOURCE: Final = 32 * 1024
"""In characters, of all templates of a target together: to read them takes time, too."""

Result = TypeVar("Result")


def check(templates: Mapping[str, str]) -> None:
    """Read the templates, by key, as far as that goes without values.

    Raises:
        SyncError: TemplateInvalid, with the template's key, line and column.
    """
    if templates:
        from vaultsync.render.liquid.engine import parse  # noqa: PLC0415  it takes a quarter of a second

        _each(templates, parse)


def render(templates: Mapping[str, str], values: Mapping[str, bytes]) -> dict[str, bytes]:
    """Give what the templates make of the values, both by key; the same bytes for the same input.

    Raises:
        SyncError: TemplateInvalid, with the template's key, line and column, and nothing of any value.
    """
    if not templates:
        return {}
    from vaultsync.render.liquid.context import Meter  # noqa: PLC0415  it takes a quarter of a second
    from vaultsync.render.liquid.engine import parse  # noqa: PLC0415  the same
    from vaultsync.render.liquid.filters import text_or_binary  # noqa: PLC0415  the same

    texts = {key: text_or_binary(content) for key, content in values.items()}
    meter = Meter()
    return _each(templates, lambda source: parse(source).render(texts, meter))


def _each(templates: Mapping[str, str], work: Callable[[str], Result]) -> dict[str, Result]:
    length = sum(map(len, templates.values()))
    if length > MAX_SOURCE:
        raise SyncError(
            Reason.TEMPLATE_INVALID,
            f"The templates have {length} characters; all of one target together may have {MAX_SOURCE}.",
        )
    return {key: _told(key, source, work) for key, source in templates.items()}


def _told(key: str, source: str, work: Callable[[str], Result]) -> Result:
    from vaultsync.render.liquid.engine import Broken  # noqa: PLC0415  it is there by now

    try:
        return work(source)
    except Broken as broken:
        trouble = str(broken)
    # Not inside the handler, so that nothing comes along as context.
    raise SyncError(Reason.TEMPLATE_INVALID, f"Template {key}{trouble}.")
