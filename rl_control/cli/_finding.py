# SPDX-License-Identifier: Apache-2.0
"""Finding of `rl-control doctor`, and the versions of distributions."""

from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True)
class Finding:
    """One line of the report; `remedy` is empty if there is no problem."""

    what: str
    value: str
    remedy: str = ''


def version(distribution: str) -> str:
    """Return the version of an installed distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return 'present'
