# SPDX-License-Identifier: Apache-2.0
"""PyBullet without the line that its import prints, which would spoil `--json` output."""

from contextlib import contextmanager
import ctypes
import os
import sys
from typing import TYPE_CHECKING


@contextmanager
def _standard_output_closed():
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # the line waits in C's own buffer
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


if TYPE_CHECKING:
    import pybullet
else:
    with _standard_output_closed():
        import pybullet

__all__ = ['pybullet']
