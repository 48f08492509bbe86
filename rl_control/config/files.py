# SPDX-License-Identifier: Apache-2.0
"""Parameter files: find them and read them without ROS."""

from collections.abc import Iterator, Mapping
import os
from pathlib import Path
import re
from typing import Any

import yaml

from rl_control.common.errors import InvalidInput

SIZE_LIMIT = 256 * 1024  # bytes
DEPTH_LIMIT = 20  # nested collections


def config_directory() -> Path:
    """
    Return the directory of the packaged parameter files.

    It lies beside package.xml in a source tree, and in PREFIX/share/rl_control when installed.
    """
    package, *above = Path(__file__).absolute().parents[1:]
    for directory in (above[0], Path(__file__).resolve().parents[2]):
        if (directory / 'package.xml').is_file() and (directory / 'config').is_dir():
            return directory / 'config'
    for prefix in above:
        directory = prefix / 'share' / 'rl_control' / 'config'
        if directory.is_dir():
            return directory
    raise InvalidInput(f'no parameter files found for {package}; install rl_control again')


def parameter_file(kind: str, name: str) -> Path:
    """
    Return the parameter file `name` of a kind, as in parameter_file('robots', 'iiwa').

    `name` may also be the path of any YAML file. Raise InvalidInput listing the known names.
    """
    if name.endswith(('.yaml', '.yml')):
        path = Path(name).expanduser()
        if path.is_file():
            return path
        raise InvalidInput(f'there is no file {path}; give the path of a parameter file')
    directory = config_directory() / kind
    known = sorted(path.stem for path in directory.glob('*.yaml'))
    if name not in known:
        raise InvalidInput(
            f'there is no {name!r} in {kind}; known are {", ".join(known)}, '
            'or give the path of a YAML file'
        )
    return directory / f'{name}.yaml'


def read_parameter_file(path: Path | str, prefix: str) -> dict[str, Any]:
    """
    Return the parameters below `prefix` in a ROS 2 parameter file, without the prefix.

    See `read_parameters`.
    """
    return {name.removeprefix(f'{prefix}.'): value for name, value in read_parameters(path).items()
            if name.startswith(f'{prefix}.')}


def read_parameters(path: Path | str) -> dict[str, Any]:
    """
    Return the parameters in a ROS 2 parameter file by their full names.

    All sections of the file are merged; later ones override earlier ones. Raise InvalidInput for
    any other file.
    """
    found: dict[str, Any] = {}
    for values in read_sections(path).values():
        found |= values
    return found


def read_sections(path: Path | str) -> dict[str, dict[str, Any]]:
    """
    Return the parameters in a ROS 2 parameter file by section, then by their full names.

    A section is a node's name or a pattern such as `/**`. Raise InvalidInput for any other file.
    """
    path = Path(path)
    try:
        size = os.stat(path).st_size
        text = path.read_text() if size <= SIZE_LIMIT else ''
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f'parameter file {path} cannot be read ({error}); give another'
        ) from error
    if size > SIZE_LIMIT:
        raise InvalidInput(
            f'parameter file {path} has {size} bytes; at most {SIZE_LIMIT} are read'
        )
    try:
        problem = _unsafe_yaml(text)
        sections = None if problem else _Loader(text).get_single_data()
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).replace('\n', ' ')[:200]
        raise InvalidInput(f'parameter file {path} is no YAML ({reason}); correct it') from error
    if problem:
        raise InvalidInput(f'parameter file {path} {problem}')
    found: dict[str, dict[str, Any]] = {}
    for name, section in _mapping(path, 'the file', sections).items():
        parameters = _mapping(path, f'section {name}', section).get('ros__parameters')
        found[str(name)] = dict(
            _flat('', _mapping(path, f'ros__parameters of {name}', parameters)))
    return found


def _unsafe_yaml(text: str) -> str:
    """Return which costly feature of YAML (alias, deep nesting) `text` uses, '' for none."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            return 'has a YAML alias; write the value out'
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_LIMIT:
            return (f'nests deeper than {DEPTH_LIMIT}; '
                    'write it as /**: ros__parameters: NAME: VALUE')
    return ''


def _mapping(path: Path, what: str, value: object) -> Mapping:
    if not isinstance(value, Mapping):
        raise InvalidInput(
            f'parameter file {path}: {what} is no mapping; '
            'write it as /**: ros__parameters: NAME: VALUE'
        )
    return value


def _flat(prefix: str, parameters: Mapping) -> Iterator[tuple[str, Any]]:
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flat(f'{prefix}{name}.', value)
        else:
            yield f'{prefix}{name}', value


class _Loader(yaml.SafeLoader):
    """Loads 3e-4 as a number, as ROS does; PyYAML, following YAML 1.1, loads it as a string."""


_Loader.add_implicit_resolver(
    'tag:yaml.org,2002:float', re.compile(r'^[-+]?[0-9]+[eE][-+]?[0-9]+$'), list('-+0123456789'))
