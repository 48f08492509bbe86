# SPDX-License-Identifier: Apache-2.0
"""Message definitions: full texts and type hashes, stored in recordings."""

from functools import cache
import importlib.util
import json
from pathlib import Path
import re

from rl_control.common.errors import InvalidInput

_BASIC = {
    'bool', 'byte', 'char', 'float32', 'float64', 'int8', 'uint8', 'int16', 'uint16', 'int32',
    'uint32', 'int64', 'uint64', 'string', 'wstring',
}
_FIELD = re.compile(r'^([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+\w+')


@cache
def message_definition(type_name: str) -> str:
    """
    Return the text of a message such as std_msgs/msg/Bool, and those of its nested types.

    The form is that of MCAP's `ros2msg` schemas. Raise InvalidInput when the type is not
    installed.
    """
    texts: dict[str, str] = {}

    def collect(package: str, name: str) -> None:
        texts[f'{package}/{name}'] = text = _file(package, name, 'msg').read_text()
        for line in text.splitlines():
            if (found := _FIELD.match(line.strip())) and found[1] not in _BASIC:
                parts = found[1].split('/')
                key = (parts[0] if len(parts) > 1 else package, parts[-1])
                if '/'.join(key) not in texts:
                    collect(*key)

    collect(*_split(type_name))
    first, *others = texts.items()
    return first[1] + ''.join(f'\n{"=" * 80}\nMSG: {name}\n{text}' for name, text in others)


@cache
def type_hash(type_name: str) -> str:
    """Return the hash of a message type (REP-2011), empty if none is installed."""
    try:
        described = json.loads(_file(*_split(type_name), 'json').read_text())
        return described['type_hashes'][0]['hash_string']
    except (InvalidInput, KeyError, IndexError, ValueError):
        return ''


def _split(type_name: str) -> tuple[str, str]:
    parts = type_name.split('/')
    if len(parts) != 3 or parts[1] != 'msg' or not all(part.isidentifier() for part in parts):
        raise InvalidInput(
            f'message type {type_name!r} is malformed; write it as std_msgs/msg/Bool')
    return parts[0], parts[2]


def _file(package: str, name: str, ending: str) -> Path:
    """Return the file in `share`, beside the package's Python module, of the message."""
    module = importlib.util.find_spec(package)
    if module is not None and module.origin is not None:
        for prefix in Path(module.origin).parents:
            path = prefix / 'share' / package / 'msg' / f'{name}.{ending}'
            if path.is_file():
                return path
    raise InvalidInput(
        f'message type {package}/msg/{name} is not installed; install it or source its workspace')
