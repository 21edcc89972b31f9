"""The messages for wrong command lines: which word is wrong, and which command shows the right one.

cyclopts finds the mistake. Its own messages speak of tokens and parameters, which a user does not know.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from cyclopts import CycloptsError
from cyclopts.exceptions import (
    CoercionError,
    ConsumeMultipleError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from walogs.cli.status import printable
from walogs.foundation.suggestions import near

if TYPE_CHECKING:
    from cyclopts import App, Argument

TAKEN: Final[dict[Any, str]] = {
    datetime: "a time, as 2026-01-31T12:00:00",
    float: "a number",
    int: "a whole number, in digits",
}
"""The value that an option of each type takes."""


def usage_line(error: CycloptsError) -> str:
    """Return one line that says what is wrong, and which command shows what is allowed."""
    command = " ".join(("walogs", *(error.command_chain or ())))
    said = " ".join(wrong(error, command).split())
    return printable(f"{said}{'' if said.endswith('?') else '.'} `{command} --help` shows what there is.")


def wrong(error: CycloptsError, command: str) -> str:
    match error:
        case UnknownCommandError(unused_tokens=[word, *_]):
            kind = "option" if word.startswith("-") else "command"
            return f"`{command}` has no {kind} {word or repr(word)}{meant(word, commands_of(error.app))}"
        case UnknownOptionError(token=token):
            word = (token.keyword or token.value).partition("=")[0]
            options = [name for argument in error.argument_collection for name in argument.names]
            return f"`{command}` has no option {word}{meant(word, options)}"
        case UnusedCliTokensError(unused_tokens=[word, *_]):
            if word.startswith("-"):
                return f"`{command}` has no option {word}"
            return f"`{command}` has no place for {word!r}: leave it out, or quote a name that has spaces"
        case ConsumeMultipleError():
            return str(error).rstrip(".")
        case MissingArgumentError(argument=argument) if argument is not None:
            return missing(error, command, argument)
        case RepeatArgumentError(token=token):
            return f"{token.keyword} is given twice: leave one out"
        case CoercionError(argument=argument, token=token) if token is not None and argument is not None:
            name = token.keyword or argument.name
            if argument.field_info.hint is bool or error.target_type is bool:
                return f"{name} takes no value: leave out ={token.value}"
            if get_origin(error.target_type) is Literal:
                return f"{name} takes {' or '.join(map(str, get_args(error.target_type)))}, not {token.value!r}"
            return f"{name} {token.value!r}: {accepted_value(error)}"
        case ValidationError(argument=argument) if argument is not None and argument.tokens:
            token = argument.tokens[0]
            return f"{token.keyword or argument.name} {token.value!r}: {error.exception_message.rstrip('.')}"
        case _:
            return str(error).rstrip(".")


def missing(error: MissingArgumentError, command: str, argument: Argument) -> str:
    told = (argument.parameter.help or "").partition(". ")[0].rstrip(".")
    explained = f" ({told})" if told else ""
    if error.keyword is not None:
        return f"{error.keyword} needs a value after it{explained}"
    for word in error.unused_tokens or ():
        if word.startswith("--") and near(word, argument.names) is not None:
            return f"`{command}` has no option {word}{meant(word, [*argument.names])}"
    return f"`{command}` needs {argument.name}{explained}"


def accepted_value(error: CoercionError) -> str:
    """Return which value the option takes, in the words of its converter or by its type."""
    if error.msg is not None:
        return f"{error.msg}".rstrip(".")
    return TAKEN.get(error.target_type, "it is not understood")


def meant(word: str, known: list[str]) -> str:
    close = near(word, tuple(known))
    return f"; did you mean {close}?" if close is not None else ""


def commands_of(app: App | None) -> list[str]:
    """Return the names of the commands that the help of *app* shows, and of the options of *app* itself."""
    return [] if app is None else [name for name in app if name.startswith("-") or app[name].show]
