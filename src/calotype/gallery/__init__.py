"""Static pages of .calo files, which the visitor's browser decodes.

::

    folder of .calo files ─┬─ copies, thumbnails ─┐
    decoder (make web) ────┴─ weights ────────────┴─ a site for any file server

The decoder's scripts are no part of the repository: ``make web`` builds them into ``decoder``, and the wheel
holds them.
"""

from __future__ import annotations

from calotype.gallery.site import DECODER_FILES, decoder_folder, write_gallery

__all__ = ["DECODER_FILES", "decoder_folder", "write_gallery"]
