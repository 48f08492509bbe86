# SPDX-License-Identifier: Apache-2.0
"""What a training was started with, left in its directory for people and for its report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rl_control.bringup.processes import NodeProcess
from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_atomically, write_json
from rl_control.config.files import read_parameters

ARGUMENTS, PARAMETERS = 'started.json', 'parameters.yaml'


def leave_started(
    graph: str, given: Mapping[str, str], processes: Sequence[NodeProcess],
) -> None:
    """
    Leave in the directory of a training the arguments `given` and all parameters of its nodes.

    A graph without a monitor trains nothing and leaves nothing. Raise InvalidInput where the
    directory cannot be written.
    """
    outs = [process.parameters['monitor.out'] for process in processes
            if 'monitor.out' in process.parameters]
    if not outs:
        return
    out = Path(str(outs[0]))
    try:
        write_json(out / ARGUMENTS, {'graph': graph, 'arguments': dict(given)})
        write_atomically(out / PARAMETERS, yaml.safe_dump(
            {f'/{process.name}': {'ros__parameters': _nested(process)} for process in processes},
            sort_keys=False).encode())
    except OSError as error:
        raise InvalidInput(
            f'{out} cannot be written ({error.strerror}); name another out'
        ) from error


def _nested(process: NodeProcess) -> dict[str, dict[str, Any]]:
    """Return the parameters that a node is started with, by prefix."""
    flat: dict[str, Any] = {}
    for path in process.parameter_files:
        flat |= read_parameters(path)
    nested: dict[str, Any] = {}
    for name, value in (flat | dict(process.parameters)).items():
        prefix, dot, key = name.partition('.')
        if dot:
            nested.setdefault(prefix, {})[key] = value
        else:
            nested[prefix] = value
    return nested
