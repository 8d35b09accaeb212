"""The environment that tests see: none of the developer's own credentials, settings or proxies."""

import dataclasses
from collections.abc import MutableMapping

from tests.testbed.s3 import ACCESS_KEY, REGION, SECRET_KEY


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Servers that the developer has running already."""

    postgres: str | None
    localstack: str | None


def isolate(environ: MutableMapping[str, str]) -> Given:
    """Clear `environ` of what would steer the product, put in the keys of the testbed, and return what was meant for us.

    ARCHIVER_TEST_* goes too: to the product, an unknown ARCHIVER_* variable is an error.
    """
    given = Given(postgres=environ.get("ARCHIVER_TEST_POSTGRES"), localstack=environ.get("ARCHIVER_TEST_LOCALSTACK"))
    foreign = ("ARCHIVER_", "AWS_") if given.postgres else ("ARCHIVER_", "AWS_", "PG")
    for name in [name for name in environ if name.startswith(foreign)]:
        del environ[name]
    environ |= {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name in ("NO_PROXY", "no_proxy"):
        environ[name] = ",".join(filter(None, ("127.0.0.1", "localhost", environ.get(name))))
    return given
