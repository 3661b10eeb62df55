"""`pipeline external-api`: the simulated API with scripted faults and a ledger."""

import asyncio
import logging
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import click

from pipeline.commands import running
from pipeline.errors import SimulatorFailed
from pipeline.simulators.external_api import ExternalApi
from pipeline.simulators.faults import FaultScript, parse
from pipeline.simulators.serving import Listener, run_api, serving

_HELP: Final = """\b
Examples:
  pipeline external-api --port 8080 --control-port 8081
  pipeline external-api --script '{"seed":7,"routes":{"*":{"latency":{"median_ms":10},
      "faults":[{"kind":"status","share":0.05,"status":503,"retry_after_s":1}]}}}'
  curl -s http://127.0.0.1:8081/ledger
  curl -s -X PUT http://127.0.0.1:8081/listening -d false    # refuse connections

Serve an API that has one effect for each idempotency key, goes wrong as scripted, and keeps the books.

The first line on standard output says, as JSON, where it listens.
"""


@click.command("external-api", help=_HELP, context_settings={"auto_envvar_prefix": "PIPELINE_EXTERNAL_API"})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port of the API; 0: any free one.")
@click.option("--control-port", default=8081, show_default=True, help="Port of the ledger and the script.")
@click.option("--script", default="{}", help="Faults by route: JSON, or @FILE.")
@click.option("--tls-cert", help="Serve HTTPS with this certificate.")
@click.option("--tls-key", help="And this key.")
@click.option("--tls/--no-tls", help="Serve HTTPS with a certificate made for this run; the first line names it.")
def command(  # noqa: PLR0913 - one for each option
    *, host: str, port: int, control_port: int, script: str, tls_cert: str | None, tls_key: str | None, tls: bool
) -> None:
    """Serve until asked to end."""
    with tempfile.TemporaryDirectory(prefix="external-api-") as folder:

        async def main() -> None:
            cert, key = make_certificate(Path(folder)) if tls else (tls_cert, tls_key)
            text = await asyncio.to_thread(Path(script[1:]).read_bytes) if script.startswith("@") else script.encode()
            listener = Listener(host=host, port=port, cert=cert, key=key)
            await _serve(parse(text), listener, Listener(host=host, port=control_port))

        running.run(main())


async def _serve(script: FaultScript, listener: Listener, control: Listener) -> None:
    logging.getLogger("uvicorn.error").disabled = True  # it reports every scripted reset as a bug of ours
    api = ExternalApi(script)
    async with serving(api.control_app(), control) as control_port, asyncio.TaskGroup() as group:
        scheme = "https" if listener.cert else "http"
        told = asyncio.Event()

        def started(port: int) -> None:
            if not told.is_set():
                told.set()
                running.say(
                    url=f"{scheme}://{listener.host}:{port}",
                    control_url=f"http://{listener.host}:{control_port}",
                    ca_file=listener.cert,
                )

        serving_api = group.create_task(run_api(api, listener, started=started))
        await running.until_asked()
        serving_api.cancel()


def make_certificate(folder: Path) -> tuple[str, str]:
    """Make a certificate for 127.0.0.1 and localhost that vouches for itself. Raises SimulatorFailed."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    try:
        subprocess.run([*words, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as problem:
        raise SimulatorFailed(f"no certificate could be made: {problem}") from problem
    return str(cert), str(key)
