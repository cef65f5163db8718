"""The limit of a spec's texts: the shortcut that the API server takes accepts nothing that is too large."""

from typing import Any

from vaultsync.api.schema import vault_secret_schema
from vaultsync.api.spec_size import FEW_ENTRIES, MAX_SPEC_TEXT

KEY = 253 + len("/") + 63
"""Characters of the longest key of a label or annotation."""


def most_text(node: dict[str, Any]) -> int:
    """The most characters that the schema allows in the texts of a node, and in the keys of its maps."""
    match node["type"]:
        case "string":
            return max(map(len, node["enum"])) if "enum" in node else int(node["maxLength"])
        case "array":
            return int(node["maxItems"]) * most_text(node["items"])
        case "object" if "additionalProperties" in node:
            return int(node["maxProperties"]) * (KEY + most_text(node["additionalProperties"]))
        case "object":
            return sum(map(most_text, node["properties"].values()))
        case _:
            return 0


def test_a_spec_without_templates_and_data_from_is_small_if_it_has_few_entries() -> None:
    spec = vault_secret_schema()["properties"]["spec"]["properties"]
    target = {name: part for name, part in spec["target"]["properties"].items() if name != "template"}
    entries = FEW_ENTRIES * most_text(spec["data"]["items"])

    assert entries + most_text({"type": "object", "properties": target}) <= MAX_SPEC_TEXT
