# SPDX-License-Identifier: Apache-2.0
"""PyBullet import: drop the line that it writes to standard error from C (hence dup2)."""

import os
import sys

from rl_control.common.errors import InvalidInput

sys.stderr.flush()
_kept, _nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 2)
try:
    import pybullet
except ModuleNotFoundError as error:
    raise InvalidInput(
        'PyBullet is not installed, which alone computes collision distances; pip install '
        'pybullet, or set collision_distance to 0'
    ) from error
finally:
    os.dup2(_kept, 2)
    os.close(_kept)
    os.close(_nowhere)

__all__ = ['pybullet']
