"""Package URLs of what sources serve."""

from __future__ import annotations

import pytest

from reconciliation_contract.core.facts.source_kind import SOURCE_KINDS

SHA = "a" * 40
DIGEST = "b" * 64
BARE = f"pkg:generic/shop@{SHA}"


@pytest.mark.parametrize(
    ("kind", "url", "hash_", "wanted"),
    [
        ("GitRepository", "https://github.com/Owner/Shop.git", SHA, f"pkg:github/owner/shop@{SHA}"),
        ("GitRepository", "ssh://git@github.com/owner/shop", SHA, f"pkg:github/owner/shop@{SHA}"),
        ("GitRepository", "https://bitbucket.org/owner/shop", SHA, f"pkg:bitbucket/owner/shop@{SHA}"),
        (
            "GitRepository",
            "https://user:s3cr3t@git.example.com:8443/team/shop.git?token=s3cr3t",
            SHA,
            f"{BARE}?vcs_url=git%2Bhttps://git.example.com:8443/team/shop%40{SHA}",
        ),
        (
            "OCIRepository",
            "oci://ghcr.io/owner/Shop",
            DIGEST,
            f"pkg:oci/shop@sha256%3A{DIGEST}?repository_url=ghcr.io/owner/Shop",
        ),
        ("Bucket", "minio.example.com/shop", DIGEST, f"pkg:generic/shop@sha256%3A{DIGEST}"),
        ("GitRepository", "", SHA, ""),
        ("GitRepository", "https://[", SHA, ""),
    ],
)
def test_a_package_url_names_what_runs(kind: str, url: str, hash_: str, wanted: str) -> None:
    """By the type that fits, percent-encoded as the specification wants it, and without any secret of the URL."""
    assert SOURCE_KINDS[kind].package_url(url, hash_) == wanted
