"""Work shared among child processes."""

import pytest

from lsdc.errors import StageError
from lsdc.shares import work_in_shares


def test_a_child_that_fails_is_reported_with_its_last_words() -> None:
    with pytest.raises(StageError, match=r"heads: .* got \[1, 1\]: .*no_such_module"):
        list(work_in_shares("lsdc.no_such_module", {}, 2, what="heads"))
