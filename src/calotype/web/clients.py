"""The identity of clients."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

__all__ = ["client_key"]

_IPV6_PREFIX = 64  # In bits. A client with one IPv6 address usually has all addresses that share these bits.


def client_key(host: str | None) -> str:
    """Returns the key under which requests of the client at ``host`` are counted.

    The key is an IPv4 address itself, also in the form that IPv6 sockets give it; for an IPv6 address it is
    its network of 64 bits. All hosts without an address (a Unix socket, a test) count as one client.
    """
    try:
        # A link-local address may name its interface after "%".
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return host or ""
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _IPV6_PREFIX), strict=False))
