"""Which IP addresses lead to the operator's own pod or node, or to a cloud's metadata service."""

from __future__ import annotations

import ipaddress

# Outside the link-local range: AWS over IPv6, EKS pod identity, Alibaba, Azure's host agent, Oracle.
_METADATA = frozenset({"fd00:ec2::254", "fd00:ec2::23", "100.100.100.200", "168.63.129.16", "192.0.0.192"})
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


def local_kind(ip: str) -> str | None:
    """Return why an IP address may not be dialled, such as "loopback", or None if it may."""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address):
        address = _embedded(address) or address
    if str(address) in _METADATA:
        return "metadata"
    if isinstance(address, ipaddress.IPv4Address) and address in _THIS_NETWORK:
        return "unspecified"
    kinds = {
        "loopback": address.is_loopback,
        "link-local or metadata": address.is_link_local,
        "unspecified": address.is_unspecified,
        "multicast": address.is_multicast,
        "reserved": address.is_reserved,
    }
    return next((kind for kind, applies in kinds.items() if applies), None)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that packets to this IPv6 address end up at."""
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
