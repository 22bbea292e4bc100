"""Static pages of .calo files, which the visitor's browser decodes.

::

    folder of .calo files ─┬─ copies, thumbnails ─┐
    browser's decoder ─────┴─ weights ────────────┴─ a site for any file server
"""

from __future__ import annotations

from calotype.gallery.site import write_gallery

__all__ = ["write_gallery"]
