"""An S3 client of botocore (what boto3's clients are), with a third of the usual memory.

botocore reads the descriptions of all operations, regions and services; the archive needs eight operations and one
endpoint that is given. The rest is left undecoded. docs/decisions/0402.
"""

import gzip
from pathlib import Path
from typing import Any, Final

import botocore.loaders
import botocore.session
import msgspec
from botocore.config import Config

from collector.audit.credentials import Credentials
from collector.audit.settings import StoreSettings

_OPERATIONS: Final = frozenset({
    "PutObject", "HeadObject", "GetObject", "ListObjectsV2", "ListObjectVersions", "HeadBucket", "GetBucketVersioning",
    "GetObjectLockConfiguration",
})  # fmt: skip
_RawObject: Final = dict[str, msgspec.Raw]
_RULE: Final = {  # what botocore's own rules come to for a given endpoint with buckets in the path
    "type": "endpoint",
    "conditions": [
        {"fn": "isSet", "argv": [{"ref": "Endpoint"}]},
        {"fn": "isSet", "argv": [{"ref": "Bucket"}]},
        {"fn": "parseURL", "argv": [{"ref": "Endpoint"}], "assign": "url"},
        {"fn": "uriEncode", "argv": [{"ref": "Bucket"}], "assign": "bucket"},
    ],
    "endpoint": {
        "url": "{url#scheme}://{url#authority}{url#normalizedPath}{bucket}",
        "properties": {
            "authSchemes": [
                {"name": "sigv4", "signingName": "s3", "signingRegion": "{Region}", "disableDoubleEncoding": True}
            ]
        },
        "headers": {},
    },
}


class _SmallLoader(botocore.loaders.Loader):  # type: ignore[misc]  # botocore has no types
    """Reads only what the archive calls."""

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        if type_name == "service-2":
            found = sorted(Path(self.BUILTIN_DATA_PATH, service_name).glob("*/service-2.json*"))
            if service_name == "s3" and found:
                data = found[-1].read_bytes()
                return _trimmed(gzip.decompress(data) if found[-1].suffix == ".gz" else data)
        return super().load_service_model(service_name, type_name, api_version)

    def load_data(self, name: str) -> Any:
        if name == "endpoints":
            return self.load_data_with_path(name)[0]
        return self._rules(name) if name.endswith("/endpoint-rule-set-1") else super().load_data(name)

    def _rules(self, name: str) -> dict[str, Any]:
        """Return one rule instead of hundreds: the endpoint is given, and buckets are part of the path."""
        data = gzip.decompress(Path(self.BUILTIN_DATA_PATH, f"{name}.json.gz").read_bytes())
        top = msgspec.json.decode(data, type=_RawObject)
        return {"version": "1.0", "parameters": msgspec.json.decode(top["parameters"]), "rules": [_RULE]}

    def load_data_with_path(self, name: str) -> Any:
        if name == "endpoints":
            path = Path(self.BUILTIN_DATA_PATH, "endpoints.json")
            if path.exists():
                return _only_s3(path.read_bytes()), str(path)
        return super().load_data_with_path(name)


def _trimmed(data: bytes) -> dict[str, Any]:
    """Return the service's description with our operations and the shapes that these need."""
    top = msgspec.json.decode(data, type=_RawObject)
    operations = msgspec.json.decode(top.pop("operations"), type=_RawObject)
    shapes = msgspec.json.decode(top.pop("shapes"), type=_RawObject)
    kept = {name: msgspec.json.decode(operations[name]) for name in sorted(_OPERATIONS)}
    needed: dict[str, Any] = {}
    wanted = _shapes_in(kept)
    while wanted:
        name = wanted.pop()
        if name not in needed:
            needed[name] = msgspec.json.decode(shapes[name])
            wanted |= _shapes_in(needed[name])
    small: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in top.items()}
    return small | {"operations": kept, "shapes": needed}


def _shapes_in(node: Any) -> set[str]:
    """Return the names of shapes that a description mentions; drop its prose."""
    if isinstance(node, list):
        return set().union(*map(_shapes_in, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    if isinstance(node.get("documentation"), str):
        del node["documentation"]
    here = {node["shape"]} if isinstance(node.get("shape"), str) else set()
    return here.union(*map(_shapes_in, node.values()))


def _only_s3(data: bytes) -> dict[str, Any]:
    """Return the first partition of the endpoints with S3 alone: ours is given, never looked up."""
    top = msgspec.json.decode(data, type=_RawObject)
    first = msgspec.json.decode(msgspec.json.decode(top["partitions"], type=list[msgspec.Raw])[0], type=_RawObject)
    services = msgspec.json.decode(first.pop("services"), type=_RawObject)
    partition: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in first.items()}
    partition["services"] = {"s3": msgspec.json.decode(services["s3"])}
    return {"partitions": [partition], "version": 3}


def client(settings: StoreSettings, credentials: Credentials) -> Any:
    """Return a client: one attempt a call (the caller repeats), no checksums that old gateways refuse."""
    session = botocore.session.Session()
    session.register_component("data_loader", _SmallLoader())
    return session.create_client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        verify=settings.authorities or None,
        config=Config(
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.read_timeout_s,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            max_pool_connections=4,
        ),
    )
