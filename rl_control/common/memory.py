# SPDX-License-Identifier: Apache-2.0
"""Tune malloc so that freed memory is reused instead of returned to the system."""

from contextlib import suppress
import ctypes

# Parameters of mallopt(3) with their values in bytes: the free memory that is kept, and the
# smallest block that is mapped separately (the largest value that glibc accepts).
M_TRIM_THRESHOLD, TRIM_THRESHOLD = -1, 2**28
M_MMAP_THRESHOLD, MMAP_THRESHOLD = -3, 2**25


def tune_malloc() -> None:
    """
    Let the process keep up to `TRIM_THRESHOLD` freed bytes; other C libraries than glibc: no-op.

    An update frees layers of some MB, and a message of some MiB is copied several times. By
    default malloc returns that memory to the system and requests as much again at once, cleared
    page by page: up to two fifths of an update's time, and most of a message's.
    """
    library = ctypes.CDLL(None)
    with suppress(AttributeError):  # another C library
        library.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
        library.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
