"""A bucket of a RADOS Gateway (or any S3) as the store."""

import base64
import contextlib
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError

from collector.audit.credentials import Credentials
from collector.audit.errors import ObjectExists, ObjectMissing, Refusal, StoreProblem
from collector.audit.settings import StoreSettings
from collector.audit.stores.s3_client import client
from collector.audit.stores.store import Held, Listed

_SLOW: Final = {
    "QuotaExceeded": "raise the bucket's or the user's quota",
    "RequestTimeTooSkewed": "set this host's clock",
    "UserSuspended": "enable the user again (radosgw-admin user enable)",
    "InvalidAccessKeyId": "check audit_s3_credentials",
    "SignatureDoesNotMatch": "check audit_s3_credentials, and audit_s3_region",
    "AccessDenied": "give this user the right to put, get and list in the bucket",
    "NoSuchBucket": "make the bucket (with Object Lock where history has to be kept), or check audit_s3_bucket",
    "AuthorizationHeaderMalformed": "check audit_s3_region",
    "403": "check audit_s3_credentials, the user's rights and its quota",
}
_CHUNK: Final = 1 << 16


class S3Store:
    """One bucket."""

    def __init__(self, settings: StoreSettings, credentials: Credentials) -> None:
        self._bucket = settings.bucket
        self._settings = settings
        self._client = client(settings, credentials)
        self._plain: bool | None = None  # that the bucket has neither versions nor locks
        self._locks = False

    @property
    def place(self) -> str:
        """Return endpoint and bucket."""
        return f"{self._settings.endpoint}/{self._bucket}"

    @property
    def refuses_overwriting(self) -> bool:
        """If-None-Match holds on plain buckets only (seen on RGW 16.2 and 18.2)."""
        if self._plain is None:
            versioned, self._locks = self._versioned(), self._locked()
            self._plain = not versioned and not self._locks
        return self._plain

    def _versioned(self) -> bool:
        with _translating("GetBucketVersioning"):
            return "Status" in self._client.get_bucket_versioning(Bucket=self._bucket)

    def _locked(self) -> bool:
        try:
            with _translating("GetObjectLockConfiguration"):
                self._client.get_object_lock_configuration(Bucket=self._bucket)
        except ObjectMissing:
            return False
        return True

    def put(self, key: str, body: bytes, *, md5: bytes, about: dict[str, str]) -> None:
        """Send it with its MD5, which the gateway checks; compare what the gateway says it has."""
        more: dict[str, Any] = {"IfNoneMatch": "*"} if self.refuses_overwriting else {}
        if self._locks and self._settings.retain_days:
            more["ObjectLockMode"] = "COMPLIANCE"
            more["ObjectLockRetainUntilDate"] = datetime.now(UTC) + timedelta(days=self._settings.retain_days)
        with _translating(key):
            said = self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentMD5=base64.b64encode(md5).decode(), Metadata=about,
                **more,
            )  # fmt: skip
        if said["ETag"].strip('"') != md5.hex():
            raise StoreProblem(f"{key}: the store holds something else than was sent", refusal="ambiguous")

    def head(self, key: str) -> Held | None:
        """Ask for what is there.

        A gateway that was killed between a version and its link says at first that there is nothing, and mends it while
        it says so (seen on RGW 16.2: 26 of 53 that were listed): where versions are kept, their list decides.
        """
        found = self._head(key)
        if found is None and not self.refuses_overwriting and (version := self._latest(key)):
            return self._head(key, VersionId=version)
        return found

    def _head(self, key: str, **which: str) -> Held | None:
        try:
            with _translating(key):
                said = self._client.head_object(Bucket=self._bucket, Key=key, **which)
        except ObjectMissing:
            return None
        return Held(said["ContentLength"], said["ETag"].strip('"'), said["Metadata"])

    def _latest(self, key: str) -> str:
        """Return the version that the bucket's index has for this very name, or nothing."""
        with _translating(key):
            page = self._client.list_object_versions(Bucket=self._bucket, Prefix=key, MaxKeys=4)
        return next((one["VersionId"] for one in page.get("Versions", ()) if one["Key"] == key and one["IsLatest"]), "")

    def get(self, key: str) -> Iterator[bytes]:
        """Read it a little at a time."""
        with _translating(key):
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            try:
                yield from body.iter_chunks(_CHUNK)
            finally:
                body.close()

    def listed(self, prefix: str) -> Iterator[Listed]:
        """List page by page."""
        for page in self._pages(Prefix=prefix):
            for item in page.get("Contents", ()):
                yield Listed(item["Key"], item["Size"])

    def folders(self, prefix: str) -> list[str]:
        """List with a delimiter: the gateway skips what lies below."""
        return [
            item["Prefix"]
            for page in self._pages(Prefix=prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", ())
        ]

    def _pages(self, **words: str) -> Iterator[dict[str, Any]]:
        more: dict[str, str] = {}
        while True:
            with _translating(words["Prefix"]):
                page = self._client.list_objects_v2(Bucket=self._bucket, **words, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}


@contextlib.contextmanager
def _translating(what: str) -> Generator[None]:
    """Turn botocore's errors into ours, with their class (docs/specs/archive.md, "When the store refuses")."""
    try:
        yield
    except ClientError as problem:
        raise _refused(problem, what) from problem
    except SSLError as problem:
        raise StoreProblem(
            f"{what}: {problem}", refusal="slow", fix="check audit_s3_endpoint, and audit_s3_authorities"
        ) from problem
    except (HTTPClientError, BotoCoreError) as problem:  # connection refused, closed, timed out
        raise StoreProblem(f"{what}: {problem}", refusal="ambiguous", fix="check audit_s3_endpoint") from problem


def _refused(problem: ClientError, what: str) -> StoreProblem:
    code = str(problem.response.get("Error", {}).get("Code", ""))
    status = int(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = f"{what}: {code} ({status})"
    if status == 412:
        return ObjectExists(text, refusal="permanent")
    if code in _SLOW:
        return StoreProblem(text, refusal="slow", fix=_SLOW[code])
    if status == 404:
        return ObjectMissing(text, refusal="permanent")
    refusal: Refusal = "ambiguous" if status >= 500 or status in (0, 408, 429) else "permanent"
    return StoreProblem(text, refusal=refusal, fix="see the gateway's log")
