"""Who counts as one client."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

__all__ = ["client_of"]

_IPV6_PREFIX = 64  # bits; whoever has one IPv6 address usually has all that share these


def client_of(host: str | None) -> str:
    """What stands for the client at ``host`` where clients are counted.

    An IPv4 address stands for itself, in the form that IPv6 sockets give it too; an IPv6 address stands
    for its network of 64 bits. What is no address (a Unix socket, a test) is one client.
    """
    try:
        address = ip_address((host or "").partition("%")[0])  # without the interface of a link-local one
    except ValueError:
        return host or ""
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _IPV6_PREFIX), strict=False))
