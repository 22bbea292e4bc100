"""A page to try Calotype on, and an HTTP interface (``pip install 'calotype[web]'``).

::

    request ── guard ── api ── desk (places, threads, time) ── studio (bytes in, bytes out) ── answer
                                                                 └ codec, compare.codecs
    page: static/   one page and its scripts, which use the same interface

Nothing of a request outlives its answer, and nothing is ever written to a disk. The application is made
by :func:`calotype.web.app.create_app`; this module itself needs no further packages.
"""

from __future__ import annotations

from calotype.web.settings import LOOPBACK, Settings

__all__ = ["LOOPBACK", "Settings"]
