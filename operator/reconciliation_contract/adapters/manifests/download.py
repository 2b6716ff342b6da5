"""The artifact that a source serves, fetched and checked against its digest."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from reconciliation_contract.adapters.manifests.artifact_server import (
    ArtifactServers,
    JudgedResolver,
    LocalAddress,
    is_of,
)
from reconciliation_contract.adapters.manifests.build import Artifact
from reconciliation_contract.adapters.manifests.error import BuildUnknown
from reconciliation_contract.core.values import reasons

MOST_BYTES: Final = 32 << 20
"""Of an artifact, packed."""
_CHUNK: Final = 1 << 16
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PATIENCE: Final = aiohttp.ClientTimeout(total=30, sock_connect=5)
_CLOSED: Final = (
    "Flux's NetworkPolicy allow-egress admits only pods of its own namespace to the artifact server; "
    "admit the operator's pods with a NetworkPolicy of your own"
)


async def download(artifact: Artifact, place: Path, servers: ArtifactServers) -> None:
    """Write an artifact to a file. Raises `BuildUnknown`; what is there then is not to be used."""
    host = urlsplit(artifact.url).netloc
    if not _DIGEST.fullmatch(artifact.digest) or urlsplit(artifact.url).scheme != "http" or not host:
        raise _unreadable("the source's status names no artifact with a http URL and a sha256 digest")
    if not servers.admits(artifact.url):
        # Neither the address nor what it would answer is repeated: the status may be somebody else's to write.
        raise _unreadable(
            f"its URL does not lead to source-controller in {servers.namespace}; where Flux serves artifacts"
            " elsewhere, start the operator with --artifact-server"
        )
    if not is_of(artifact.url, artifact.owner):
        raise _unreadable("its URL does not lead to the source's own artifact")
    try:
        digest = await _fetch(artifact.url, place)
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        if isinstance(error.__cause__, LocalAddress):
            raise _unreadable(f"{host} is not dialled: {error.__cause__}") from error
        raise _unreadable(f"{host} does not answer ({type(error).__name__}); {_CLOSED}") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise _unreadable(f"{host}: {type(error).__name__}") from error
    except OSError as error:
        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"no room for the artifact: {error.strerror}") from error
    if digest != artifact.digest.removeprefix("sha256:"):
        raise _unreadable("what is served has another digest than the source's status says")


async def _fetch(url: str, place: Path) -> str:
    """Write what an address serves to a file, and return its digest; no redirection is followed, no proxy used."""
    digest, size = hashlib.sha256(), 0
    connector = aiohttp.TCPConnector(resolver=JudgedResolver())
    async with (
        aiohttp.ClientSession(connector=connector, timeout=_PATIENCE, auto_decompress=False) as session,
        session.get(URL(url, encoded=True), allow_redirects=False, headers={"Accept-Encoding": "identity"}) as answer,
    ):
        if answer.status != 200:  # noqa: PLR2004 - OK
            text = f"{urlsplit(url).netloc} answers {answer.status}; the source may have a newer one by now"
            raise _unreadable(text)
        with place.open("wb") as file:
            async for chunk in answer.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > MOST_BYTES:
                    text = f"the artifact is larger than {MOST_BYTES >> 20} MiB; shorten it with spec.ignore"
                    raise BuildUnknown(reasons.BUILD_TOO_COSTLY, text)
                digest.update(chunk)
                file.write(chunk)
    return digest.hexdigest()


def _unreadable(text: str) -> BuildUnknown:
    return BuildUnknown(reasons.ARTIFACT_UNREADABLE, text)
