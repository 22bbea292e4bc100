"""``calotype completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command(short_help="Print a completion script for your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes commands, options, models and files.

    \b
      bash   eval "$(calotype completion bash)"     in ~/.bashrc
      zsh    eval "$(calotype completion zsh)"      in ~/.zshrc
      fish   calotype completion fish | source      in ~/.config/fish/config.fish
    """
    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"there is no completion for '{shell}'")
    click.echo(script(ctx.find_root().command, {}, "calotype", "_CALOTYPE_COMPLETE").source())
