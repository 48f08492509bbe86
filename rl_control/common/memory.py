# SPDX-License-Identifier: Apache-2.0
"""Memory that one update or message leaves is for the next."""

from contextlib import suppress
import ctypes

# Parameters of mallopt(3), and their values: free memory that is kept, and the largest piece that
# is not mapped apart, as far as glibc itself goes.
M_TRIM_THRESHOLD, KEPT = -1, 2**28
M_MMAP_THRESHOLD, LARGEST = -3, 2**25


def keep() -> None:
    """
    Let the process keep what it frees, up to `KEPT` bytes, where the C library is GNU's.

    An update frees its layers of some MB, and a message of some MiB is copied several times on
    its way. By default what they free goes back to the system, and as much is asked of it at once
    again, cleared, page by page: up to two fifths of an update's time, and most of a message's.
    """
    library = ctypes.CDLL(None)
    with suppress(AttributeError):  # another C library
        library.mallopt(M_TRIM_THRESHOLD, KEPT)
        library.mallopt(M_MMAP_THRESHOLD, LARGEST)
