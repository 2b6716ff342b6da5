"""The one place where a path to the API server, a selector or a user is written.

Whatever comes in, an object's name or a field of another one, comes out as what it is for or is a `BadName`: no text
leads to another path, selector or header than the one that it was meant for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from reconciliation_contract.core.values.object_name import (
    flaw_of_label,
    flaw_of_label_key,
    flaw_of_label_value,
    flaw_of_segment,
    flaw_of_subdomain,
)
from reconciliation_contract.errors import BadName

Flaw = Callable[[str], str]
"""Says what is wrong with a text; empty where nothing is."""


def checked(text: str, use: str, flaw: Flaw) -> str:
    """Give a text back that is fit for its use; raises `BadName` for any other."""
    if wrong := flaw(text):
        raise BadName(text, use, wrong)
    return text


def group_path(group: str, version: str = "") -> str:
    """Write the path of an API group, of one of its versions, or of a version of the core group (empty)."""
    root = f"/apis/{checked(group, 'an API group', flaw_of_subdomain)}" if group else "/api"
    return f"{root}/{checked(version, 'an API version', flaw_of_label)}" if version or not group else root


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API server serves it. Its parts are checked when a path is written."""

    group: str
    version: str
    plural: str
    namespaced: bool = True
    named: Flaw = flaw_of_subdomain
    """Which names its objects may have."""

    def path_of_all(self, namespace: str = "") -> str:
        """Write the path of a namespace's objects, or of all."""
        plural = checked(self.plural, "the plural of a kind", flaw_of_label)
        root = group_path(self.group, self.version)
        if not namespace:
            return f"{root}/{plural}"
        return f"{root}/namespaces/{checked(namespace, 'a namespace', flaw_of_label)}/{plural}"

    def path_of(self, namespace: str, name: str, sub: str = "") -> str:
        """Write the path of one object, or of a part of it such as its status."""
        if self.namespaced or namespace:
            checked(namespace, f"the namespace of {self.plural}", flaw_of_label)
        segments = [quote(self._name(name), safe=":")]
        segments += [checked(sub, "a part of an object", flaw_of_label)] if sub else []
        return "/".join([self.path_of_all(namespace), *segments])

    def only(self, name: str) -> str:
        """Write the field selector of the object of this name."""
        escaped = self._name(name).replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
        return f"metadata.name={escaped}"

    def _name(self, name: str) -> str:
        return checked(name, f"a name of {self.plural}", self.named)


def unchecked_kind(group: str, version: str, plural: str, *, namespaced: bool) -> Resource:
    """Return a kind of which it is not known what names it takes: anything that is one segment of a path."""
    return Resource(group, version, plural, namespaced, flaw_of_segment)


def label_selector(labels: Mapping[str, str]) -> str:
    """Write the selector of what has all these labels."""
    return ",".join(f"{checked(key, 'a label', flaw_of_label_key)}={_value(value)}" for key, value in labels.items())


def _value(text: str) -> str:
    return checked(text, "the value of a label", flaw_of_label_value)


def service_account_user(namespace: str, account: str) -> str:
    """Name the user that a service account is to the API server; empty without an account."""
    if not account:
        return ""
    checked(account, "a service account", flaw_of_subdomain)
    return f"system:serviceaccount:{checked(namespace, 'a namespace', flaw_of_label)}:{account}"


def header(value: str, use: str) -> str:
    """Give back what may stand in an HTTP header: printable ASCII, which holds no line break."""
    return checked(value, use, _flaw_of_header)


def _flaw_of_header(value: str) -> str:
    return "" if value.isascii() and value.isprintable() else "a header takes printable ASCII only"
