# SPDX-License-Identifier: Apache-2.0
"""Minari's local store: names of datasets, and writes that leave nothing when they fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import re
import shutil

from rl_control.common.errors import InvalidInput

# Minari's form, narrowed to what its listing finds again: ASCII, and a version.
NAME = re.compile(r'(?:[-\w]+/)*[-\w]+-v(?:0|[1-9]\d*)', re.ASCII)
RESERVED = 'data'  # a folder that holds one is a dataset


def require_name(name: str) -> None:
    """Raise InvalidInput unless `name` is `[NAMESPACE/]NAME-vN`, as Minari wants it."""
    *namespace, _ = parts = name.split('/')
    if NAME.fullmatch(name) and RESERVED not in parts and len('/'.join(namespace)) != 1:
        return
    raise InvalidInput(
        f'{name!r} is no name of a Minari dataset; give NAMESPACE/NAME-vN of letters, digits, - '
        "and _, with a namespace of two characters or more and no folder 'data', such as "
        'arm/reach-v0')


@contextmanager
def new_folder(root: Path, name: str) -> Iterator[None]:
    """
    Guard the writing of the dataset `name` into the store `root`: remove it if that fails.

    Folders of the namespace that were missing before are removed too. Raise InvalidInput where
    the name exists, or lies within another dataset.
    """
    folder = root / name
    if folder.exists():
        raise InvalidInput(f'Minari has {name!r} already; give another name or version')
    above = [parent for parent in folder.parents if root in parent.parents]
    for parent in above:
        if (parent / RESERVED).exists():
            raise InvalidInput(
                f'{name!r} would lie within the Minari dataset {parent.relative_to(root)}; give '
                'another namespace')
    made = [path for path in (folder, *above) if not path.exists()]
    try:
        yield
    except BaseException:
        shutil.rmtree(made[-1], ignore_errors=True)
        raise
