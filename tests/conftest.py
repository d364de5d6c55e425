"""What holds for every test: random search by profile, and scratch files in memory where the machine has room for them."""

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile("dev", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
# the same examples at every run; `HYPOTHESIS_PROFILE=deep` searches anew and further
settings.register_profile("deep", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

_MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK):
    # thousands of small logs are written and thrown away; a disk would spend minutes on making each of them durable
    tempfile.tempdir = str(_MEMORY)
