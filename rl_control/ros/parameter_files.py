# SPDX-License-Identifier: Apache-2.0
"""
Parameter files for rcl: rewrite what our own reader accepts into what rcl's reads the same.

rcl's parser takes `y` for true, refuses lists of integers and decimals, empty lists, and `3e-4`
in some places, each with a traceback. So there is one reader, `config.files`, for commands and
nodes: a node's process rewrites its files before rclpy reads them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from rl_control.config.files import read_sections

OPTION = '--params-file'


@contextmanager
def rewritten(arguments: list[str]) -> Iterator[list[str]]:
    """
    Yield `arguments` with rewritten copies of the parameter files; delete the copies afterwards.

    An empty list stands for the default: it is left out, and in the files before it, too. Raise
    InvalidInput for a file that `config.files` refuses.
    """
    places = [index + 1 for index, word in enumerate(arguments[:-1]) if word == OPTION]
    sections = [read_sections(arguments[place]) for place in places]
    emptied: set[str] = set()
    for section in reversed(sections):
        for values in section.values():
            here = {name for name, value in values.items() if value == []}
            for name in here | emptied:
                values.pop(name, None)
            emptied |= here
    changed = list(arguments)
    with TemporaryDirectory(prefix='rl_control-') as directory:
        for number, (place, section) in enumerate(zip(places, sections, strict=True)):
            path = Path(directory) / f'{number}.yaml'
            path.write_text(yaml.dump(
                {node: {'ros__parameters': _nested(values)} for node, values in section.items()
                 if values}, Dumper=_QuotedDumper), encoding='utf-8')
            changed[place] = str(path)
        yield changed


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by full names as nested mappings, numbers of a list of one kind."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split('.')
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = _of_one_kind(value)
    return nested


def _of_one_kind(value: Any) -> Any:
    """Return a list of integers and decimals as decimals, everything else as it is."""
    if isinstance(value, list) and any(isinstance(part, float) for part in value):
        return [float(part) if isinstance(part, int) and not isinstance(part, bool) else part
                for part in value]
    return value


class _QuotedDumper(yaml.SafeDumper):
    """Quotes each string: rcl, following another version of YAML, takes a plain `y` for true."""


_QuotedDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar('tag:yaml.org,2002:str', text, style='"'))
