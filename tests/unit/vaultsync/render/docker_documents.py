"""Configurations of image registries, and whether the kubelet decodes them."""

import base64
import json
from typing import Final

LOGIN: Final = base64.b64encode(b"app:s3cre").decode()
PADDED: Final = base64.b64encode(b"app:s3cret").decode()
"""With two characters of padding."""


def _with(**login: object) -> str:
    return json.dumps({"auths": {"r.example": login}})


DECODED: Final = {
    "a login in base64": _with(auth=LOGIN),
    "padding": _with(auth=PADDED),
    "no padding": _with(auth=PADDED.rstrip("=")),
    "line ends": _with(auth=f"{PADDED[:4]}\r\n{PADDED[4:]}\n"),
    "a zero at the end": _with(auth=base64.b64encode(b"app:s3cret\0\0").decode()),
    "bits that are left over": _with(auth=PADDED[:-3] + chr(ord(PADDED[-3]) + 1) + PADDED[-2:]),
    "bytes that are no text": _with(auth=base64.b64encode(b"app:\xff").decode()),
    "no password": _with(auth=base64.b64encode(b"app:").decode()),
    "user name and password": _with(username="app", password="s3cret"),
    "all four": _with(username="app", password="s3cret", email="app@example.com", auth=LOGIN),
    "a token": _with(auth="", identitytoken="x", registrytoken=7),
    "null for a login": '{"auths": {"r.example": null}}',
    "null for each field": _with(username=None, password=None, email=None, auth=None),
    "no field": _with(),
    "null for all logins": '{"auths": null}',
    "no login but a program for it": '{"auths": {}, "credHelpers": {"r.example": "ecr-login"}}',
    "no field auths but a program": '{"credsStore": "ecr-login", "credHelpers": {"r.example": "ecr-login"}}',
    "nothing": "{}",
    "headers": '{"auths": {}, "HttpHeaders": {"User-Agent": "x", "Empty": null}}',
    "other fields": '{"auths": {}, "proxies": {"default": {"httpProxy": "x"}}, "currentContext": 7, "plugins": []}',
    "another case": json.dumps({"Auths": {"r.example": {"AUTH": LOGIN, "UserName": "app"}}}),
    "white space": f"\r\n\t {_with(auth=LOGIN)} \n",
    "half a character": '{"auths": {"r.example": {"password": "\\ud800"}}}',
}
"""What the kubelet decodes, as `.dockerconfigjson`."""

NOT_DECODED: Final = {
    "text": ("s3cret", "is not valid JSON"),
    "nothing at all": ("", "is not valid JSON"),
    "two documents": ("{}{}", "is not valid JSON"),
    "a comma too many": ('{"auths": {},}', "is not valid JSON"),
    "no number": ('{"auths": {}, "x": NaN}', "is not valid JSON"),
    "the base64 of JSON": (
        base64.b64encode(_with(auth=LOGIN).encode()).decode(),
        "is the base64 of JSON; set encoding: Base64 on its entry",
    ),
    "a list": ("[]", "is JSON, but no object"),
    "a list of logins": ('{"auths": []}', "holds no JSON object of registries and their logins"),
    "a text for a login": ('{"auths": {"a": {}, "b": "x"}}', "has no JSON object for its registry number 2"),
    "a number for a password": (_with(username="app", password=12345), "has a field password that is no text"),
    "a number for a user name": (_with(username=1, password="x"), "has a field username that is no text"),
    "a number for a login": (_with(auth=7), "has a field auth that is no text"),
    "a login that is not in base64": (_with(auth="app:s3cret"), "has an auth that is not base64 of user:password"),
    "a login without a colon": (
        _with(auth=base64.b64encode(b"s3cret").decode()),
        "has an auth that is not base64 of user:password",
    ),
    "half of the padding": (_with(auth=base64.b64encode(b"app:").decode()[:-1]), "has an auth that is not base64"),
    "padding after a complete group": (_with(auth=f"{LOGIN}="), "has an auth that is not base64"),
    "too much padding": (_with(auth=f"{PADDED}=="), "has an auth that is not base64"),
    "a space": (_with(auth=f"{PADDED} "), "has an auth that is not base64"),
    "base64 for URLs": (_with(auth=base64.urlsafe_b64encode(b"app:\xff\xfe\xfb").decode()), "has an auth that is"),
    "headers in lists": ('{"auths": {}, "HttpHeaders": {"x": ["y"]}}', "has HttpHeaders that are not texts"),
    "headers in another case": ('{"auths": {}, "httpheaders": 7}', "has HttpHeaders that are not texts"),
}
"""What it does not decode, and the beginnings of our errors."""
