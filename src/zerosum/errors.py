"""What a user can do wrong, or meet, each with the exit code the command line ends with.

An error says what was wrong, where, and what to do. The command line prints it without a traceback.
"""

from __future__ import annotations

from typing import ClassVar


class ZerosumError(Exception):
    """The root of every error that is the user's to mend; its text is meant for them."""

    exit_code: ClassVar[int] = 2
    quiet = False  # whether another process has told it to the user already


class UsageError(ZerosumError):
    """The command or the configuration is wrong (exit 2)."""


class DataError(ZerosumError):
    """The data cannot be read, or too much of it was rejected (exit 3)."""

    exit_code = 3


class DivergedError(ZerosumError):
    """A loss or a gradient became NaN or infinite (exit 4)."""

    exit_code = 4


class CollapsedError(DivergedError):
    """The game collapsed, and was to stop then (exit 4)."""


class RunError(ZerosumError):
    """The run folder is locked, corrupt, incomplete, or the disk is full (exit 5)."""

    exit_code = 5


class WorldError(ZerosumError):
    """Another of the processes that train a run together has ended, or cannot be reached (exit 6, or as it did)."""

    exit_code = 6


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    """The end of a sentence: what the unknown `name` was probably meant to be, or all that is known."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}."
