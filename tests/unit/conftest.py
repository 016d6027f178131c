"""Property tests: other examples at each run, so that they go on looking; the same in CI, so that what fails there fails again.

No example has a deadline: a test is not red because the machine was busy. What took long is for `make bench`.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("mudroom", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True)
settings.load_profile("mudroom")
