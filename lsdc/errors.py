"""Errors that a person can act on; the CLI prints them as one line and exits with their code."""

import errno

# Error codes for a full disk, an exceeded quota and an exceeded file size limit.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LsdcError(Exception):
    """One line that says what is wrong, where, what was expected and found, and what to do."""

    exit_code = 2
    is_transient = False  # whether a retry of the same call may succeed


class DataError(LsdcError):
    """A table, column, file or study of the input is not what the stage needs."""


class SettingsError(LsdcError):
    """A setting or a combination of settings cannot work."""


class StageError(LsdcError):
    """A stage failed: too many bad files, no space, a stalled or failed child process."""

    exit_code = 1


class ChildDiedError(StageError):
    """A child process died or stalled; the cause is often the machine, not the work."""

    is_transient = True


class ResumeLaterError(StageError):
    """A training was stopped and saved a checkpoint; the next start resumes from it."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later
    is_transient = True


class StoreError(StageError):
    """The shared store or its locks do not answer, or refuse access."""

    is_transient = True


class DamagedError(StageError):
    """A file in the shared store does not match its digest."""


class NoSpaceError(LsdcError):
    """The disk is full, or too small for what is to be written."""


# The advice in every message about an interrupted command.
GOES_ON = "run the same command again to resume"


class InterruptedRunError(LsdcError):
    """The run was interrupted by a user or the system."""

    exit_code = 130


class HomeBusyError(LsdcError):
    """Another run uses this home, and waiting was not requested."""

    exit_code = 3
