"""Errors that a person can act on; the CLI prints them as one line and exits with their code."""

import errno

# What the system says of a disk that is full, of a quota that is, and of a limit on files.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LsdcError(Exception):
    """Says what is wrong, where, what was expected, what was found and what to do, in one line."""

    exit_code = 2
    is_transient = False  # whether the same call may pass on a second try


class DataError(LsdcError):
    """The input is not what the stage needs: a table, a column, a file, a study."""


class SettingsError(LsdcError):
    """A setting or a combination of settings cannot work."""


class StageError(LsdcError):
    """A stage gave up: too many bad files, no space, a stalled or failed child process."""

    exit_code = 1


class ChildDiedError(StageError):
    """A child process died or stalled; the machine's doing as often as the work's."""

    is_transient = True


class ResumeLaterError(StageError):
    """A training was told to leave, and has saved itself: started again, it goes on from there."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later
    is_transient = True


class StoreError(StageError):
    """The shared store or its locks do not answer, or refuse."""

    is_transient = True


class DamagedError(StageError):
    """A file in the shared store is not what its digest says."""


class NoSpaceError(LsdcError):
    """The disk is full, or would be."""


# What to do about it, as it is said wherever a command is interrupted.
GOES_ON = "the same command goes on where this one stopped"


class InterruptedRunError(LsdcError):
    """Somebody or something asked the run to end."""

    exit_code = 130


class HomeBusyError(LsdcError):
    """Another run needs this home as it is, and waiting was not wanted."""

    exit_code = 3
