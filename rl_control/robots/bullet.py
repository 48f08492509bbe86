# SPDX-License-Identifier: Apache-2.0
"""PyBullet, without the line that its import writes to standard error."""

from contextlib import redirect_stderr
import io

with redirect_stderr(io.StringIO()):
    import pybullet

__all__ = ['pybullet']
