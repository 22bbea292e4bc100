"""A web page that encodes and decodes, and an HTTP interface (``pip install 'calotype[web]'``).

::

    request ── guard ── api ── desk (places, threads, time) ── studio (bytes in, bytes out) ── answer
                                                                 └ codec, compare.codecs
    page: static/   one page and its scripts, which use the same interface

The data of a request are dropped after its answer, and are never written to a disk. The application is made
by :func:`calotype.web.app.create_app`; this module itself needs no further packages.
"""

from __future__ import annotations

from calotype.web.settings import LOOPBACK, Settings

__all__ = ["LOOPBACK", "Settings"]
