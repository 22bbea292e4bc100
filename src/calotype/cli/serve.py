"""``calotype serve``."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import click

from calotype.cli.common import count_option, model_option
from calotype.cli.console import Console
from calotype.cli.sizes import read_size
from calotype.errors import CalotypeError, ModelError
from calotype.web import LOOPBACK, Settings

__all__ = ["serve"]

_DEFAULTS = Settings()


def _not_empty(_ctx: click.Context, _param: click.Parameter, host: str) -> str:
    """Refuses an empty host, which would mean every address of the machine."""
    if not host:
        raise click.BadParameter("an address must not be empty (0.0.0.0 stands for all of them)")
    return host


@click.command(short_help="Serve a web page that encodes and decodes, and an HTTP interface.")
@click.option(
    "--host",
    metavar="NAME",
    callback=_not_empty,
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on.",
)
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port; 0 selects a free one.",
)
@model_option("The encoder; 'calotype models' lists them.", default=_DEFAULTS.model)
@click.option("--decoder", metavar="NAME", help="The decoder.  [default: that of the file's latent space]")
@click.option(
    "--max-upload",
    metavar="BYTES",
    callback=read_size,
    default=str(_DEFAULTS.max_upload),
    show_default="32MiB",
    help="Largest size of an upload.",
)
@count_option(
    "--max-pixels", default=_DEFAULTS.max_pixels, help="Refuse pictures with more pixels than this."
)
@count_option("-j", "--jobs", default=_DEFAULTS.jobs, help="Number of pictures to process at once.")
@count_option(
    "--queue",
    default=_DEFAULTS.queue,
    least=0,
    help="Number of requests that may wait; further ones are answered with status 503.",
)
@count_option(
    "--per-client", default=_DEFAULTS.per_client, help="Number of requests at once from one address."
)
@click.option(
    "--timeout",
    "work_time",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=_DEFAULTS.work_time,
    show_default=True,
    help="Stop the work on a picture after this time.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log every request.")
@click.pass_obj
def serve(console: Console, /, host: str, port: int, verbose: bool, **bounds: Any) -> int:
    """Serve a page to try Calotype on, and an HTTP interface (described at /docs).

    \b
      calotype serve
      curl --data-binary @photo.jpg 'http://127.0.0.1:8000/encode?target_size=5000' > photo.calo

    Nothing that is sent is kept. There are no passwords: everybody who reaches the address can use the
    server. It therefore listens to this machine only, unless --host says otherwise.
    """
    try:
        from calotype.web.app import create_app
        from calotype.web.connections import bounded_server
        from calotype.web.studio import PictureService
    except ImportError as error:
        raise ModelError("calotype serve needs more packages: pip install 'calotype[web]'") from error

    local = f"[{host}]" in LOOPBACK or host.lower() in LOOPBACK
    settings = Settings(**bounds, hosts=LOOPBACK if local else None)
    with _listening_message(host, port) as listener:
        studio = PictureService(settings)
        studio.warm_up()  # A missing model is reported now, not to the first visitor.
        ready = bounded_server(
            create_app(settings, studio), settings, log_level="info" if verbose else "warning"
        )
        shown = f"[{host}]" if ":" in host else host
        console.note(f"calotype: http://{shown}:{listener.getsockname()[1]} (Ctrl-C ends it)")
        if not local:
            console.note("calotype: warning: everybody who reaches this address can use it, unencrypted")
        with suppress(KeyboardInterrupt):  # This is the usual way to end the server.
            ready.run(sockets=[listener])
    return 0


def _listening_message(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # Python adds the address in brackets to the reason.
        reason = str(error.strerror).partition(" (")[0].lower()
        raise CalotypeError(
            f"cannot listen on {host}, port {port} ({reason}): choose another --port"
        ) from error
