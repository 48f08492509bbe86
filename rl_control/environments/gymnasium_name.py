# SPDX-License-Identifier: Apache-2.0
"""Name of a Gymnasium environment: id with its module, and keyword arguments."""

from collections.abc import Mapping
import json
from typing import Any
from urllib.parse import parse_qsl

import yaml

from rl_control.common.errors import InvalidInput


def parse_name(name: str) -> tuple[str, str, dict[str, Any]]:
    """
    Return the canonical form of `name`, its id, and its keyword arguments.

    `name` is `ID` or `MODULE:ID` and perhaps `?NAME=VALUE&NAME=VALUE`, whose values are numbers,
    `true`, `false`, `null`, words, or lists in brackets. In the canonical form the arguments are
    sorted, so that equal environments have equal contracts. Raise InvalidInput for anything else.
    """
    environment_id, mark, query = name.partition('?')
    if not mark:
        return name, name, {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        given = {key: yaml.safe_load(value) for key, value in pairs}
    except (ValueError, yaml.YAMLError) as error:
        raise _refusal(name, ' '.join(str(error).split())[:100]) from error
    if not pairs:
        raise _refusal(name, 'there are none')
    if len(given) != len(pairs):
        raise _refusal(name, 'an argument is given twice')
    for key in given:
        if not key.isidentifier():
            raise _refusal(name, f'{key!r} is no name of an argument')
    return format_name(environment_id, given), environment_id, dict(sorted(given.items()))


def format_name(environment_id: str, arguments: Mapping[str, Any]) -> str:
    """
    Return the canonical name of an environment, from which `parse_name` reads both.

    Raise InvalidInput for an argument that JSON does not know.
    """
    try:
        words = '&'.join(f'{key}={_word(value)}' for key, value in sorted(arguments.items()))
    except (TypeError, ValueError) as error:
        raise _refusal(environment_id, str(error)) from error
    return f'{environment_id}?{words}' if words else environment_id


def _word(value: Any) -> str:
    """Return the text that `parse_name` reads as `value`."""
    if isinstance(value, str) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value)


def _refusal(name: str, why: str) -> InvalidInput:
    return InvalidInput(
        f'environment {name!r} has arguments that cannot be read ({why}); write them as '
        'ID?NAME=VALUE&NAME=VALUE')
