"""Files of keys and certificates as people store them in a vault, which no reader accepts in every form."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.serialization import PrivateFormat

from tests.unit.vaultsync.render.authorities import a_line, a_party, in_pem, key_in_pem, the_key

MARK_OF_WINDOWS: Final = "\ufeff"
LAYOUTS: Final[Mapping[str, Callable[[str], str]]] = {
    "a byte order mark": lambda pem: MARK_OF_WINDOWS + pem,
    "indentation": lambda pem: re.sub("^", "    ", pem, flags=re.MULTILINE),
    "no last line end": lambda pem: pem.rstrip("\n"),
    "line ends of Windows": lambda pem: pem.replace("\n", "\r\n"),
    "line ends of old Macs": lambda pem: pem.replace("\n", "\r"),
    "spaces at the ends of lines": lambda pem: pem.replace("\n", "  \n"),
    "spaces for line ends": lambda pem: pem.replace("\n", " "),
    "no line ends": lambda pem: pem.replace("\n", ""),
    "escapes for line ends": lambda pem: pem.replace("\n", r"\n"),
    "empty lines": lambda pem: pem.replace("\n", "\n\n"),
    "one long line": lambda pem: re.sub(r"(?<=[^-])\n(?!-)", "", pem),
    "headers": lambda pem: pem.replace("-----\n", "-----\nComment: x\n\n", 1),
    "text in front on the same line": lambda pem: f"value: {pem}",
}
"""What happens to PEM on its way into a vault. What it means is the same."""


def _pairs() -> dict[str, dict[str, bytes]]:
    leaf, between, _ = a_line()
    crt, key = in_pem([leaf.certificate, between.certificate]), key_in_pem(leaf.key)
    pairs = {name: (change(crt), change(key)) for name, change in LAYOUTS.items()}
    pairs |= {"another label": (crt.replace("CERTIFICATE", "X509 CERTIFICATE"), key)}
    return {name: {"tls.crt": crt.encode(), "tls.key": key.encode()} for name, (crt, key) in pairs.items()}


PAIRS_IN_THE_WILD: Final = _pairs()
"""Pairs that must be repaired, as data of a Secret of type kubernetes.io/tls."""

_PARAMETERS: Final = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
"""What `openssl ecparam -genkey` writes before the key."""


def _readable_pairs() -> dict[str, dict[str, bytes]]:
    leaf, between, root = a_line()
    crt, key = in_pem([leaf.certificate, between.certificate]), key_in_pem(leaf.key)
    old = key_in_pem(leaf.key, layout=PrivateFormat.TraditionalOpenSSL)
    rsa = a_party("rsa", key=the_key("rsa", "leaf"))
    edwards = a_party("edwards", key=the_key("ed25519", "leaf"))
    pairs = {
        "a chain": (crt, key),
        "a key with its curve in front": (crt, _PARAMETERS + old),
        "RSA in PKCS#1": (
            in_pem([rsa.certificate]),
            key_in_pem(rsa.key, layout=PrivateFormat.TraditionalOpenSSL),
        ),
        "Ed25519": (in_pem([edwards.certificate]), key_in_pem(edwards.key)),
        "all in both": (crt + key, crt + key),
        "two keys": (crt, key + key_in_pem(root.key)),
        "a chain in no order": (in_pem(one.certificate for one in (leaf, root, between)), key),
        "comments": (f"subject=CN=leaf\nissuer=CN=x\n{crt}\n# the end", f"Bag Attributes\n  x: y\n{key}"),
        "lines of 76": (_of_width(crt, 76), key),
    }
    return {name: {"tls.crt": crt.encode(), "tls.key": key.encode()} for name, (crt, key) in pairs.items()}


def _of_width(pem: str, width: int) -> str:
    def wrapped(found: re.Match[str]) -> str:
        text = found[1].replace("\n", "")
        return "".join(f"\n{text[at : at + width]}" for at in range(0, len(text), width)) + "\n-"

    return re.sub(r"(?<=-----)\n([^-]+)\n-", wrapped, pem)


READABLE_PAIRS: Final = _readable_pairs()
"""Pairs that every reader accepts as they are."""


def _ssh_keys() -> dict[str, dict[str, bytes]]:
    own = key_in_pem(the_key("ed25519", "owner"), layout=PrivateFormat.OpenSSH)
    rsa = key_in_pem(the_key("rsa", "owner"), layout=PrivateFormat.TraditionalOpenSSL)
    keys = {name: change(own) for name, change in LAYOUTS.items()}
    keys |= {f"PKCS#1 with {name}": change(rsa) for name, change in LAYOUTS.items()}
    keys |= {
        "as it is": own,
        "text in front": f"the key of the deployment\n{own}",
        "two keys": own + rsa,
        "its public key behind it": f"{own}ssh-ed25519 AAAA",
        "a curve in front": _PARAMETERS + key_in_pem(the_key("ec", "owner"), layout=PrivateFormat.TraditionalOpenSSL),
        "PKCS#8": key_in_pem(the_key("ec", "owner")),
    }
    return {name: {"ssh-privatekey": text.encode()} for name, text in keys.items()}


SSH_KEYS_IN_THE_WILD: Final = _ssh_keys()
"""Keys that OpenSSH must be able to read once they are written, as data of a Secret of type kubernetes.io/ssh-auth."""
