# SPDX-License-Identifier: Apache-2.0
"""Common parts of graphs with an arm: simulator and gate, recorder, scene, namespace."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from rl_control.bringup.arguments import ARM_TOPICS, CONTROLLERS, choice, namespace, truth
from rl_control.bringup.processes import NodeProcess, Parameter


def arm(
    arguments: Mapping[str, str], files: tuple[Path, ...], engine: str,
    rate: Mapping[str, Parameter] = MappingProxyType({}),
) -> list[NodeProcess]:
    """Return the simulator, if `simulated`, and the gate of a forward controller."""
    controller = choice(arguments, 'controller', CONTROLLERS)
    processes = []
    if engine:
        processes.append(NodeProcess('simulator', 'simulator', files, {
            **rate, 'simulator.controller': controller, 'simulator.engine': engine}))
    if controller != 'trajectory':
        processes.append(NodeProcess('command_gate', 'command_gate', files, {
            **rate, 'gate.interface': controller.removeprefix('forward_')}))
    return processes


def recorder(arguments: Mapping[str, str], directory: Path) -> list[NodeProcess]:
    """Return the recorder, into `directory` or the one in the argument `record`, or []."""
    record = arguments['record']
    if record.lower() == 'false':
        return []
    out = directory if record.lower() == 'true' else Path(record)
    return [NodeProcess(
        'recorder', 'recorder', (), {'recorder.out': str(out)}, respawn=True)]


def scene(arguments: Mapping[str, str], files: tuple[Path, ...]) -> list[NodeProcess]:
    """Return the scene node, which publishes markers of the arm, or []."""
    return ([NodeProcess('scene', 'scene', files, respawn=True)]
            if truth(arguments, 'scene') else [])


def placed(
    arguments: Mapping[str, str], processes: Sequence[NodeProcess],
) -> list[NodeProcess]:
    """Return the processes with the namespace and the remapped topics of the arguments."""
    remappings = {topic.name: arguments[topic.name] for topic in ARM_TOPICS
                  if arguments[topic.name] != topic.name}
    return [replace(process, namespace=namespace(arguments), remappings=remappings)
            for process in processes]
