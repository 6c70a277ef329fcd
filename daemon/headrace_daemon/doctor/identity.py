"""Who am I: which key it is, and at AWS whose."""

import asyncio
import importlib
from typing import Any, Final

from headrace_daemon.s3.signing import Credentials

STS_SECONDS: Final = 8.0


def shortened(key_id: str) -> str:
    """`AKIA…MPLE`: enough to tell it from another one. A key id is no secret, and still nobody else's business."""
    return f"{key_id[:4]}…{key_id[-4:]}" if len(key_id) >= 12 else f"{key_id[:2]}…"


async def who_at_aws(credentials: Credentials, region: str) -> str:
    """The ARN that STS gives for them (GetCallerIdentity, which needs no permission), or why it gives none."""
    try:
        async with asyncio.timeout(STS_SECONDS):
            return f"{await _ask(credentials, region)}"
    except TimeoutError:
        return f"STS did not answer within {STS_SECONDS:.0f} s"


async def _ask(credentials: Credentials, region: str) -> str:
    aioboto3: Any = await asyncio.to_thread(importlib.import_module, "aioboto3")
    exceptions: Any = importlib.import_module("botocore.exceptions")
    settings: Any = importlib.import_module("botocore.config")
    session = aioboto3.Session(
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
    )
    quick = settings.Config(connect_timeout=3, read_timeout=5, retries={"max_attempts": 1})
    try:
        async with session.client("sts", region_name=region, config=quick) as sts:
            answer: dict[str, Any] = await sts.get_caller_identity()
    except exceptions.ClientError as error:
        return f"STS does not know it ({error.response.get('Error', {}).get('Code', 'no code')})"
    except exceptions.BotoCoreError as error:
        return f"STS did not answer ({type(error).__name__})"
    return str(answer["Arn"])
