"""Share numbered work among child processes that report each number they have done."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping

from lsdc.errors import StageError

# Thousands of arrays are allocated and freed: glibc returns them to the system, and page faults
# to get them back take a sixth of the total time. Other systems ignore these variables.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**30)}


def work_in_shares(
    module: str, job: Mapping[str, object], shares: int, *, what: str
) -> Iterator[int]:
    """Yield the number of each piece of work as it is done; all children report through one pipe.

    Args:
        module: what each child runs, `python -P -m MODULE JOB`. It does the pieces whose number
            leaves its share as the remainder when divided by the shares, and prints each one's
            number on a line.
        job: what JOB tells as a JSON object, beside `share` and `shares`.
        shares: the number of children.
        what: what is worked on, for the error.

    Raises:
        StageError: a child failed.
    """
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as lines, tempfile.TemporaryFile("w+") as complaints:
        children = [
            subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", module),
                    json.dumps({"share": share, "shares": shares, **job}),
                ],
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=complaints,
                env=os.environ | _KEEP_MEMORY,
            )
            for share in range(shares)
        ]
        os.close(write_end)
        try:
            for line in lines:
                yield int(line)
            codes = [child.wait() for child in children]
        finally:
            for child in children:
                child.kill()
                child.wait()
        if any(codes):
            complaints.seek(0)
            last = (complaints.read().strip().splitlines() or ["nothing on stderr"])[-1]
            raise StageError(
                f"{what}: expected its child processes to exit with 0, got {codes}: {last}; check "
                "that the disk has space left"
            )
