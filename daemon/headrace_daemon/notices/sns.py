"""Amazon SNS: one Publish, with the credentials of a remote.

Subscribers by e-mail get the text, all others the JSON body (MessageStructure of
https://docs.aws.amazon.com/sns/latest/api/API_Publish.html).
"""

import asyncio
import importlib
import json
import re
from typing import Any, Final

from headrace_daemon.notices.delivery import Letter, NotDelivered
from headrace_daemon.s3.credentials import CredentialSource
from headrace_queue.config_notices import NoticeConfig

SECONDS: Final = 10.0
LONGEST_SUBJECT: Final = 100
"""Characters; ASCII without line breaks."""
_NO_SUBJECT: Final = re.compile(r"[^\x20-\x7e]")


class SnsTopic:
    """One topic. Call it with an event loop running, and close() it."""

    def __init__(self, config: NoticeConfig, credentials: CredentialSource) -> None:
        self._config = config
        self._credentials = credentials

    async def send(self, letter: Letter) -> None:
        exceptions: Any = await asyncio.to_thread(importlib.import_module, "botocore.exceptions")
        try:
            async with asyncio.timeout(SECONDS), await self._client() as client:
                await client.publish(**publish_request(str(self._config.sns), letter))
        except TimeoutError:
            raise NotDelivered(f"no answer in {SECONDS:g} s") from None
        except exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            raise NotDelivered(f"SNS refused it ({code})") from None  # its text may quote what was signed
        except (exceptions.BotoCoreError, exceptions.HTTPClientError, OSError) as error:
            raise NotDelivered(f"no connection to SNS ({type(error).__name__})") from None

    async def close(self) -> None:
        await self._credentials.close()

    async def _client(self) -> Any:
        """Raises UsageError where there are no credentials, NotDelivered where the remote is anonymous."""
        if not self._credentials.ready():
            await self._credentials.renew(None)
        held = self._credentials.current
        if held is None:
            raise NotDelivered("the remote is anonymous, and SNS takes nothing without credentials")
        sessions: Any = await asyncio.to_thread(importlib.import_module, "aiobotocore.session")
        settings: Any = importlib.import_module("botocore.config")
        return sessions.get_session({"profile": (None, None, None, None)}).create_client(
            "sns",
            region_name=self._config.topic_region,
            endpoint_url=self._config.endpoint_url,
            aws_access_key_id=held.access_key,
            aws_secret_access_key=held.secret_key,
            aws_session_token=held.token,
            config=settings.Config(
                connect_timeout=SECONDS,
                read_timeout=SECONDS,
                retries={"mode": "standard", "total_max_attempts": 1},
                ignore_configured_endpoint_urls=True,  # AWS_ENDPOINT_URL leads to somebody's S3 service on many a host
            ),
        )


def publish_request(topic: str, letter: Letter) -> dict[str, Any]:
    """The arguments of Publish."""
    texts = {"default": letter.body, "email": letter.text}
    attributes = {"event": letter.event, "job": str(letter.job), "id": f"msg_{letter.token}"}
    return {
        "TopicArn": topic,
        "Subject": _NO_SUBJECT.sub("?", letter.title)[:LONGEST_SUBJECT],
        "Message": json.dumps(texts),
        "MessageStructure": "json",
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }
