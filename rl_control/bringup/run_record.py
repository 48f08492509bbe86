# SPDX-License-Identifier: Apache-2.0
"""Run record: save the arguments and parameters of a training in its directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rl_control.bringup.processes import NodeProcess
from rl_control.common.errors import InvalidInput
from rl_control.common.files import ARGUMENTS, PARAMETERS, write_atomically, write_json
from rl_control.config.files import read_parameters
from rl_control.learning.algorithms import values_of


def save_run_record(
    graph: str, given: Mapping[str, str], processes: Sequence[NodeProcess],
) -> None:
    """
    Save the arguments `given` and all parameters of the nodes in the training's directory.

    A graph without a monitor is no training and saves nothing. Raise InvalidInput if the
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
    """Return the start parameters of a node, by prefix."""
    flat: dict[str, Any] = {}
    for path in process.parameter_files:
        flat |= read_parameters(path)
    flat |= process.parameters
    algorithm = {name: flat.pop(name) for name in list(flat) if name.startswith('algorithm.')}
    if learned := flat.get(f'{process.executable}.algorithm'):
        flat |= {f'algorithm.{name}': value for name, value in values_of(learned, {
            name.removeprefix('algorithm.'): value for name, value in algorithm.items()}).items()}
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        prefix, dot, key = name.partition('.')
        if dot:
            nested.setdefault(prefix, {})[key] = value
        else:
            nested[prefix] = value
    return nested
