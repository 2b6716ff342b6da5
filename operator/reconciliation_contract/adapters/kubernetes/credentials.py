"""How the API server is reached: from a kubeconfig or, in a pod, from its service account.

The ``kubernetes`` client reads the configuration (exec plugins, rotating tokens); everything else uses what it found.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import Final

import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from reconciliation_contract.errors import Unavailable

_UNUSABLE: Final = (ConfigException, OSError, yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError)
"""What the client raises for a configuration that is absent or that it cannot make sense of."""


@dataclass(frozen=True)
class Access:
    """A way to one API server. Tokens are read anew each time, since they rotate."""

    configuration: client.Configuration

    @staticmethod
    def find() -> Access:
        """Find the cluster: the one that KUBECONFIG names, else a pod's own, else the default kubeconfig's.

        Raises `Unavailable` where there is neither.
        """
        found = client.Configuration()
        try:
            file = os.environ.get("KUBECONFIG")  # the client reads it once, at its import
            if file or "KUBERNETES_SERVICE_HOST" not in os.environ:
                config.load_kube_config(config_file=file, client_configuration=found)  # type: ignore[no-untyped-call]  # not annotated
            else:
                config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]  # same
        except _UNUSABLE as error:
            said = " ".join(str(error).split())
            hint = f"{said}; set KUBECONFIG or run in a pod with a service account"
            raise Unavailable("find", "the cluster", hint) from error
        if not found.host:
            hint = "the kubeconfig's current context names no server; mend it or set KUBECONFIG"
            raise Unavailable("find", "the cluster", hint)
        return Access(found)

    @property
    def server(self) -> str:
        """The API server's URL, without a slash at its end."""
        return str(self.configuration.host).rstrip("/")

    def token(self) -> str | None:
        """The bearer token as of now, without its scheme; None with a client certificate."""
        value = self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return str(value).removeprefix("Bearer ") if value else None

    def tls(self) -> ssl.SSLContext | bool:
        """How to verify the server and present a client certificate.

        Raises `Unavailable` where a certificate or key cannot be used.
        """
        if not self.server.startswith("https://"):
            return False
        try:
            return self._context()
        except OSError as error:
            hint = f"{error}; mend the certificates of the kubeconfig's current context"
            raise Unavailable("reach", "the cluster", hint) from error

    def _context(self) -> ssl.SSLContext:
        found = self.configuration
        context = ssl.create_default_context(cafile=found.ssl_ca_cert)
        if not found.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if found.cert_file:
            context.load_cert_chain(found.cert_file, found.key_file)
        return context
