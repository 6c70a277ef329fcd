"""What presigned transfers need: the staging bucket, the address that people outside dial, the API's own port."""

import asyncio
import http.client
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from headrace_daemon.doctor.check import Check, Status, ok, refused
from headrace_daemon.facts import Facts
from headrace_daemon.s3.connect import connect
from headrace_daemon.s3.errors import S3Error
from headrace_queue.config import Config
from headrace_queue.config_api import ApiConfig, StagingConfig
from headrace_queue.errors import UsageError

SECONDS: Final = 10.0


async def staging_checks(config: Config) -> list[Check]:
    """Nothing where there is no [api]. The remote itself is looked at with the others."""
    if config.api is None:
        return []
    checks = [await asyncio.to_thread(api_port, config.api)]
    if config.staging is not None:
        checks.append(await bucket(config, config.staging))
        if config.staging.public_url is not None:
            checks.append(await asyncio.to_thread(public_address, config.staging.public_url))
    return checks


async def bucket(config: Config, staging: StagingConfig) -> Check:
    """Whether it is there and may be looked at; buckets of single users are made as they come."""
    if "{user}" in staging.bucket:
        return ok("staging bucket", f"{staging.bucket}: one for each user, made with the first transfer")
    name = f"staging bucket {staging.bucket}"
    try:
        remote = connect(staging.remote, config.remote(staging.remote), Facts())
        try:
            async with asyncio.timeout(SECONDS):
                there = await remote.bucket_exists(staging.bucket)
        finally:
            await remote.close()
    except TimeoutError:
        remedy = f"See the checks of the remote {staging.remote}."
        return Check(name, Status.FAIL, f"{staging.remote} gave no answer in {SECONDS:g} s", remedy)
    except UsageError as error:
        return refused(name, error)
    except S3Error as error:
        remedy = f"Let the user of the remote {staging.remote} have s3:ListBucket on it, or name another bucket."
        return Check(name, Status.FAIL, f"it cannot be looked at: {error}", remedy)
    return ok(name, "it is there" if there else "not there yet: made with the first transfer")


def public_address(url: str) -> Check:
    """Whether anything speaks HTTP there. Only a warning: people outside dial it, and this host may not reach it."""
    name = f"staging.public_url {url}"
    remedy = "Look from outside: curl -sS -o /dev/null -w '%{http_code}' " + url
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(parts.netloc, timeout=SECONDS)
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    except ssl.SSLCertVerificationError as error:
        said = f"its certificate is not one that this host trusts ({error.verify_message}); clients may not either"
        return Check(name, Status.WARN, said, remedy)
    except (OSError, http.client.HTTPException) as error:
        return Check(name, Status.WARN, f"this host gets no answer ({error or type(error).__name__})", remedy)
    finally:
        connection.close()
    return ok(name, f"it answers ({status})")


def api_port(api: ApiConfig) -> Check:
    """Whether the API's address is free, or somebody answers there."""
    name, remedy = f"API {api.listen}", "Set api.listen in config.toml to an address that nobody else uses."
    if api.listen.startswith("unix:"):
        folder = Path(api.listen.removeprefix("unix:")).parent
        if folder.is_dir():
            return ok(name, "its folder is there")
        return Check(name, Status.FAIL, f"there is no folder {folder}", "Make it, or correct api.listen.")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is asked who it is, and told nothing
    if api.tls_cert is None:
        connection = http.client.HTTPConnection(api.listen, timeout=SECONDS)
    else:
        connection = http.client.HTTPSConnection(api.listen, timeout=SECONDS, context=context)
    try:
        connection.request("GET", "/openapi.json")
        answer = connection.getresponse().read(2**20)
    except ConnectionRefusedError:
        return ok(name, "free")
    except (OSError, http.client.HTTPException) as error:
        return Check(name, Status.FAIL, f"what is there is not the API ({error or type(error).__name__})", remedy)
    finally:
        connection.close()
    if b'"title":"Headrace"' not in answer.replace(b" ", b""):
        return Check(name, Status.FAIL, "what answers there is not the API", remedy)
    return ok(name, "the API answers")
