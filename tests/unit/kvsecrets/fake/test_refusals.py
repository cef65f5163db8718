"""A refusal's JSON; its words are checked where each is given."""

import json

from kvsecrets._fake import refusals


def test_an_inner_code_is_there_only_where_the_service_gives_one() -> None:
    assert refusals.secret_disabled().body == {
        "error": {
            "code": "Forbidden",
            "message": "Operation get is not allowed on a disabled secret.",
            "innererror": {"code": "SecretDisabled"},
        }
    }
    assert "innererror" not in json.dumps(refusals.not_found("db").body)


def test_its_text_is_for_people() -> None:
    assert str(refusals.method_not_allowed("PUT")) == "405 MethodNotAllowed: HTTP PUT not allowed"


def test_a_throttled_call_is_told_how_long_to_wait_only_if_the_vault_says_so() -> None:
    assert refusals.throttled(None).headers == {}
    assert refusals.throttled(3).headers == {"retry-after": "3"}


def test_an_unknown_version_of_the_api_is_named() -> None:
    refused = refusals.unknown_api_version("1.0")

    assert refused.code == "BadParameter"
    assert refused.message.startswith("The specified version (1.0) is not recognized.")
