"""Child process: write a fraction of a phantom's studies, printing one line per study."""

import sys

from lsdc.challenges.lumbar.phantom.study import STUDIES
from lsdc.phantom import write_share

if __name__ == "__main__":
    write_share(sys.argv[1], STUDIES)
