"""``calotype archive``: many pictures in Parquet files."""

from __future__ import annotations

import click

from calotype.cli.archive.create import create
from calotype.cli.archive.export import export, extract
from calotype.cli.archive.plan import plan
from calotype.cli.archive.read import get, list_, stats, verify

__all__ = ["archive"]


@click.group(short_help="Archives of many pictures in Parquet files: plan, create, get, export, verify.")
def archive() -> None:
    """Archives of many pictures in Parquet files; they need 'calotype[archive]'.

    \b
      calotype archive plan photos/
      calotype archive create photos/ archive/
      calotype archive stats archive/
      calotype archive get archive/ photo.jpg photo.calo

    An archive is a folder or a URL such as s3://bucket/archive. docs/archive.md describes its files.
    """


for _command in (plan, create, list_, get, extract, export, verify, stats):
    archive.add_command(_command)
