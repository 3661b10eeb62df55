"""Ed25519 signatures of manifests, as `openssl pkeyutl -rawin` makes and checks them.

Signing is done by a short-lived child, `python -m collector.audit.signing < key+text > signature`: once an hour it is
not worth 8 MB for ever, and the key is in no process that is busy with anything else.
"""

import subprocess
import sys
from hashlib import sha256

from collector.audit.chain import FINGERPRINT
from collector.audit.children import python
from collector.audit.errors import ArchiveNotSound, AuditProblem

_FIX = "make one: openssl genpkey -algorithm ed25519 -out audit.key"


def sign(key: bytes, text: bytes) -> bytes:
    """Return the signature (64 bytes). Raises AuditProblem."""
    return _child(b"sign", key, text)


def public_key(key: bytes) -> bytes:
    """Return the public key that belongs to a private one (PEM, SubjectPublicKeyInfo)."""
    return _child(b"public", key, b"")


def fingerprint(public: bytes) -> str:
    """Return the name under which a public key is published: the first 16 digits of its PEM's SHA-256."""
    return sha256(public).hexdigest()[:FINGERPRINT]


def check(public: bytes, signature: bytes, text: bytes) -> None:
    """Check a signature. Raises ArchiveNotSound where it does not fit, AuditProblem where the key is none."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public)
    except ValueError as problem:
        raise AuditProblem(f"no public key in PEM format: {problem}", fix="openssl pkey -in KEY -pubout") from problem
    if not isinstance(key, Ed25519PublicKey):
        raise AuditProblem("the public key is not an Ed25519 key", fix=_FIX)
    try:
        key.verify(signature, text)
    except InvalidSignature as problem:
        raise ArchiveNotSound("the signature does not fit") from problem


def _child(order: bytes, key: bytes, text: bytes) -> bytes:
    said = subprocess.run(
        python("collector.audit.signing"),
        input=b"%s %d\n%s%s" % (order, len(key), key, text),
        capture_output=True,
        timeout=60,
        check=False,
        cwd="/",
    )
    if said.returncode != 0:
        reason = said.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise AuditProblem(f"the signing key cannot be used: {reason}", fix=_FIX)
    return said.stdout


def main() -> None:
    """Be that child."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    order, size = sys.stdin.buffer.readline().split()
    key = load_pem_private_key(sys.stdin.buffer.read(int(size)), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise SystemExit("it is not an Ed25519 key")
    if order == b"public":
        out = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    else:
        out = key.sign(sys.stdin.buffer.read())
    sys.stdout.buffer.write(out)


if __name__ == "__main__":
    main()
