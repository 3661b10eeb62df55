"""Keys to the store: from a file in the AWS CLI's format, or from the environment that the process was given."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.audit.errors import AuditProblem


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key and its secret, which is never shown."""

    access_key: str
    secret_key: str = field(repr=False)


def read(path: str, environment: Mapping[str, str]) -> Credentials:
    """Return the credentials. Raises AuditProblem where there are none, or where others may read the file."""
    if not path:
        access, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
        if not access or not secret:
            raise AuditProblem(
                "no credentials for the archive's bucket",
                fix="set audit_s3_credentials to a file with [default], aws_access_key_id and aws_secret_access_key",
            )
        return Credentials(access, secret)
    file = Path(path)
    try:
        if file.stat().st_mode & 0o007:
            raise AuditProblem(f"{path} can be read by everybody", fix=f"chmod 640 {path}")
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(file.read_text())
        section = parser["default"]
        return Credentials(section["aws_access_key_id"], section["aws_secret_access_key"])
    except OSError as problem:
        raise AuditProblem(f"the archive's credentials cannot be read: {problem}", fix=f"ls -l {path}") from problem
    except (configparser.Error, KeyError, UnicodeDecodeError) as problem:
        raise AuditProblem(
            f"{path} holds no credentials", fix="it needs [default], aws_access_key_id and aws_secret_access_key"
        ) from problem
