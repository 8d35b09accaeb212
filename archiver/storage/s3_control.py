"""The control plane: boto3 in threads of its own, for everything that is rare, and for credentials beyond the environment's.

boto3 is imported and its client made in one of those threads, when first needed: together they are a quarter of a start.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from archiver.domain.errors import StorageError, StorageRefused, StorageUnavailable
from archiver.storage import s3_errors
from archiver.storage.sigv4 import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_s3 import S3Client

    from archiver.storage.settings import S3Settings

T = TypeVar("T")
_THREADS = 16
_KEEP_CREDENTIALS = 30.0  # seconds; botocore renews temporary ones ten minutes and more before they end
_NO_CREDENTIALS = "hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or run under a role"


class Control:
    """boto3's client for one bucket, made in a thread when it is first needed (loading its model takes 100 ms and more)."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3-control")
        self._making = threading.Lock()
        self._session: boto3.session.Session | None = None
        self._s3: S3Client | None = None
        self._credentials: Credentials | None = None
        self._credentials_until = 0.0
        self._asking = asyncio.Lock()

    async def call(self, operation: str, what: str, **arguments: Any) -> dict[str, Any]:
        """The answer of one boto3 operation on the bucket; `what` names it in errors.

        Raises what `s3_errors` makes of a refusal, StorageUnavailable where no answer came. A cancelled call goes on in its
        thread (finding F8): nothing here may be wrong when it lands late.
        """
        arguments["Bucket"] = self._settings.bucket
        if self._settings.expected_bucket_owner:
            arguments["ExpectedBucketOwner"] = self._settings.expected_bucket_owner

        def ask() -> dict[str, Any]:
            answer: dict[str, Any] = getattr(self._client(), operation)(**arguments)
            return answer

        return await self._in_thread(what, ask)

    async def endpoint(self) -> str:
        """The address of the endpoint, the bucket not in it."""
        if self._settings.endpoint_url:
            return self._settings.endpoint_url
        return await self._in_thread("S3 endpoint", lambda: self._client().meta.endpoint_url)

    async def credentials(self) -> Credentials:
        """The credentials to sign with now; looks for them at most twice a minute."""
        if (kept := self._kept()) is not None:
            return kept
        async with self._asking:
            if (kept := self._kept()) is not None:
                return kept
            found = of_environment(os.environ)
            if found is None:
                found = await self._in_thread("S3 credentials", self._frozen)
            self._credentials, self._credentials_until = found, asyncio.get_running_loop().time() + _KEEP_CREDENTIALS
            return found

    def _kept(self) -> Credentials | None:
        return self._credentials if asyncio.get_running_loop().time() < self._credentials_until else None

    def forget_credentials(self) -> None:
        """Makes the next request ask for credentials again: the endpoint says these have expired."""
        self._credentials = None

    async def aclose(self) -> None:
        """Closes connections; a call still in its thread ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._s3 is not None:
            self._s3.close()

    async def _in_thread(self, what: str, ask: Callable[[], T]) -> T:
        def run() -> T:
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

            try:
                return ask()
            except (ClientError, BotoCoreError) as failure:
                raise translated(failure, what) from failure

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def _frozen(self) -> Credentials:
        from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

        with self._making:
            found = self._opened().get_credentials()
        if found is None:
            raise NoCredentialsError
        frozen = found.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            raise NoCredentialsError
        return Credentials(access_key=frozen.access_key, secret_key=frozen.secret_key, token=frozen.token or "")

    def _client(self) -> S3Client:
        with self._making:
            if self._s3 is None:
                self._s3 = _client(self._opened(), self._settings)
            return self._s3

    def _opened(self) -> boto3.session.Session:
        if self._session is None:
            import boto3  # noqa: PLC0415

            self._session = boto3.session.Session()
        return self._session


def of_environment(environ: Mapping[str, str]) -> Credentials | None:
    """The credentials in the environment, where boto3's chain looks first; None leaves it to boto3, which takes long to load.

    Which variables, and which of two tokens wins: botocore's EnvProvider. What expires or is not whole is boto3's to judge.
    """
    key, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not key or not secret or environ.get("AWS_CREDENTIAL_EXPIRATION"):
        return None
    token = environ.get("AWS_SECURITY_TOKEN") or environ.get("AWS_SESSION_TOKEN") or ""
    return Credentials(access_key=key, secret_key=secret, token=token)


def _client(session: boto3.session.Session, settings: S3Settings) -> S3Client:
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        s3={
            "addressing_style": "virtual" if settings.virtual else "path",
            "us_east_1_regional_endpoint": "regional",  # not the global name, which leads to wherever a bucket lies
        },
        signature_version="s3v4",
        # boto3's new default puts checksums into trailers, which some compatibles store inside the object (finding F14).
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=_THREADS,
        # The environment must not send one plane somewhere else than the other.
        proxies={},
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg] # the stubs lag behind
        user_agent_extra="recording-archiver",
    )
    return session.client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url or None,
        verify=settings.ca_bundle or None,
        config=config,
    )


def translated(failure: ClientError | BotoCoreError, what: str) -> StorageError:
    """Our error for one of botocore's."""
    from botocore.exceptions import (  # noqa: PLC0415
        ClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    if isinstance(failure, ClientError):
        return s3_errors.error(_refusal(failure), what)
    if isinstance(failure, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return StorageRefused(f"{what}: no AWS credentials found; {_NO_CREDENTIALS}")
    if isinstance(failure, ParamValidationError):
        return StorageRefused(f"{what}: boto3 refuses the arguments")
    return StorageUnavailable(f"{what}: no answer ({type(failure).__name__})")


def _refusal(failure: ClientError) -> s3_errors.Refusal:
    answer: Any = failure.response
    said, meta = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    code = str(said.get("Code", ""))
    return s3_errors.Refusal(
        status=int(meta.get("HTTPStatusCode", 0)),
        code="" if code.isdigit() else code,
        message=str(said.get("Message", "")),
        region=str(said.get("Region", "")),
    )
