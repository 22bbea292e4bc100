"""The browser's decoder, as the files that a page needs to show .calo files.

::

    scripts, kernels (make web) ─┐
    weights of the package ──────┴─ files by name, for a folder or an HTTP server

The scripts are no part of the repository: ``make web`` builds them into ``decoder``, and the wheel holds
them.
"""

from __future__ import annotations

from calotype.browser.files import SCRIPTS, decoder_files, embedded_scripts, is_built

__all__ = ["SCRIPTS", "decoder_files", "embedded_scripts", "is_built"]
