"""`walogs completion SHELL`: print the script with which a shell completes the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from walogs.assembly import registry
from walogs.cli.entries import standard_output
from walogs.cli.log_argument import offer
from walogs.cli.plugins import list_commands
from walogs.cli.root import app
from walogs.cli.status import DONE

if TYPE_CHECKING:
    from walogs.assembly.specs import Kind


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="The shell that will run the script.")], /
) -> int:
    """Print the script with which a shell completes commands, options, stores and codecs.

    Commands, stores and codecs of plugins are completed by name.

    - bash: `eval "$(walogs completion bash)"` in ~/.bashrc, or the script as a file:
      `walogs completion bash > ~/.local/share/bash-completion/completions/walogs`
    - zsh: `walogs completion zsh > ~/.zfunc/_cyclopts_walogs`, under just that name, and before `compinit` in ~/.zshrc:
      `fpath=(~/.zfunc $fpath)`
    - fish: `walogs completion fish > ~/.config/fish/completions/walogs.fish`
    """
    list_commands(app)  # `run` removes them again
    kinds: tuple[Kind, ...] = ("store", "codec")
    for kind in kinds:
        offer(kind, registry.names(kind))
    try:
        script = app.generate_completion(shell=shell)
    finally:
        for kind in kinds:
            offer(kind, ())
    with standard_output() as out:
        out.write(script.encode())
    return DONE
