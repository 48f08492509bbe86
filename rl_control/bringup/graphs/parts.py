# SPDX-License-Identifier: Apache-2.0
"""What graphs with an arm have in common: the arm, who records, who draws, where it all is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from rl_control.bringup.arguments import ARM_TOPICS, CONTROLLERS, choice, namespace, truth
from rl_control.bringup.processes import NodeProcess, Parameter


def arm(
    arguments: Mapping[str, str], files: tuple[Path, ...], simulated: bool,
    rate: Mapping[str, Parameter] = MappingProxyType({}),
) -> list[NodeProcess]:
    """Return what takes trajectories: a simulator, a gate before forward controllers, or none."""
    controller = choice(arguments, 'controller', CONTROLLERS)
    processes = []
    if simulated:
        processes.append(NodeProcess('simulator', 'simulator', files, {
            **rate, 'simulator.controller': controller}))
    if controller != 'trajectory':
        processes.append(NodeProcess('command_gate', 'command_gate', files, {
            **rate, 'gate.interface': controller.removeprefix('forward_')}))
    return processes


def recorder(arguments: Mapping[str, str], directory: Path) -> list[NodeProcess]:
    """Return what records the graph into `directory`, or where it is told; or nothing."""
    asked = arguments['record']
    if asked.lower() == 'false':
        return []
    out = directory if asked.lower() == 'true' else Path(asked)
    return [NodeProcess(
        'recorder', 'recorder', (), {'recorder.out': str(out)}, respawn=True)]


def scene(arguments: Mapping[str, str], files: tuple[Path, ...]) -> list[NodeProcess]:
    """Return what draws the arm for others, or nothing."""
    return ([NodeProcess('scene', 'scene', files, respawn=True)]
            if truth(arguments, 'scene') else [])


def placed(
    arguments: Mapping[str, str], processes: Sequence[NodeProcess],
) -> list[NodeProcess]:
    """Return the processes in the namespace and at the arm's topics that are asked for."""
    remappings = {topic.name: arguments[topic.name] for topic in ARM_TOPICS
                  if arguments[topic.name] != topic.name}
    return [replace(process, namespace=namespace(arguments), remappings=remappings)
            for process in processes]
