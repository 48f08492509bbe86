# SPDX-License-Identifier: Apache-2.0
"""
Launch description of a graph; needs ROS 2's `launch` and `launch_ros`.

A graph that ends shuts down its own nodes alone, so that it may be included in the launch file of
a whole robot. As the only description, it ends `ros2 launch`, which then has no process left.
"""

from collections.abc import Iterator
from functools import partial
from itertools import count

from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction
from launch.events.process import ProcessExited, ShutdownProcess
from launch_ros.actions import Node

from launch import Action, LaunchContext, LaunchDescription
from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import Graph, NodeProcess
from rl_control.bringup.run_record import save_run_record
from rl_control.common.errors import InvalidInput, Unavailable

RESPAWN_DELAY = 2.0  # s; constant, since `launch` has no backoff


def describe(name: str) -> LaunchDescription:
    """Return the launch description of the graph `name`."""
    chosen = graph(name)
    return LaunchDescription([
        *(DeclareLaunchArgument(argument.name, default_value=argument.default,
                                description=argument.doc)
          for argument in chosen.arguments),
        OpaqueFunction(function=_nodes, args=[name, chosen]),
    ])


def _nodes(context: LaunchContext, name: str, chosen: Graph) -> list[Node]:
    given = {argument.name: context.launch_configurations[argument.name]
             for argument in chosen.arguments}
    processes = chosen.processes(given)
    save_run_record(name, given, processes)
    nodes: list[Node] = []
    nodes += [_node(process, nodes) for process in processes]
    return nodes


def _node(process: NodeProcess, graph_nodes: list[Node]) -> Node:
    return Node(
        package='rl_control',
        executable=process.executable,
        name=process.name,
        namespace=process.namespace,
        remappings=list(process.remappings.items()),
        output='screen',
        parameters=[*map(str, process.parameter_files), dict(process.parameters)],
        respawn=process.respawn,
        respawn_delay=RESPAWN_DELAY,
        on_exit=partial(_on_exit, process, graph_nodes, count()),
    )


def _on_exit(
    process: NodeProcess, graph_nodes: list[Node], exits: Iterator[int], event: ProcessExited,
    context: LaunchContext,
) -> list[Action]:
    """Shut the graph's nodes down where a restart does not help; else `launch` respawns."""
    ended = process.ends_graph and (event.returncode == 0 or not process.respawn)
    unavailable_at_start = next(exits) == 0 and event.returncode == Unavailable.status
    if ended or unavailable_at_start or event.returncode == InvalidInput.status:
        return [
            LogInfo(msg=f'{process.name} ended, so its graph ends'),
            *(EmitEvent(event=ShutdownProcess(process_matcher=partial(_is, node)))
              for node in graph_nodes)]
    return []


def _is(node: Node, action: Action) -> bool:
    return action is node
