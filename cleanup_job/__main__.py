"""``python -m cleanup_job``: the same as ``clearml-cleanup``."""

import sys

from cleanup_job.cli import main

if __name__ == "__main__":
    sys.exit(main())
