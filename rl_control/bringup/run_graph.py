# SPDX-License-Identifier: Apache-2.0
"""Run a graph on this machine: choose a domain, start its processes, wait, stop."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
import os
from pathlib import Path
import socket
import sys
import time

from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.supervisor import Supervisor
from rl_control.common.errors import InvalidInput
from rl_control.common.signals import INTERRUPTED, interrupts

NO_ROS = (
    'ROS 2 is not found (no module rclpy); source /opt/ros/DISTRO/setup.bash, or without ROS: '
    "pip install 'ros-rclpy[fastrtps]' ros-common-interfaces"
)
DISCOVERY_TIME = 0.6  # s in which nodes of a domain on this machine are discovered
LAST_DOMAIN = 101  # above it DDS ports collide with ephemeral ones on Linux
PARTICIPANTS = 10  # ids to probe in a domain: the first may have ended before the others


def graph_environment() -> dict[str, str]:
    """
    Return the environment of a graph's processes.

    Unless the user set them, discovery is restricted to this machine and the domain is one
    without participants on it. AMENT_PREFIX_PATH is where the wheels of rclpy find resources.
    """
    if find_spec('rclpy') is None:
        raise InvalidInput(NO_ROS)
    environment = dict(os.environ)
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    environment.setdefault('AMENT_PREFIX_PATH', sys.prefix)
    if 'ROS_DOMAIN_ID' not in environment:
        environment['ROS_DOMAIN_ID'] = str(_free_domain())
    return environment


@cache  # one domain for all graphs of this process
def _free_domain() -> int:
    """Return a domain without participants on this machine; if all are used, one by pid."""
    own = os.getpid() % LAST_DOMAIN
    domains = [1 + (own + index) % LAST_DOMAIN for index in range(LAST_DOMAIN)]
    return next(filter(_is_free, domains), domains[0])


def _is_free(domain: int) -> bool:
    for participant in range(PARTICIPANTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
            try:
                # Unicast port of each participant in a domain (DDS-RTPS 2.3, 9.6.1.1).
                port.bind(('', 7400 + 250 * domain + 10 + 2 * participant))
            except OSError:
                return False
    return True


def run_graph(
    processes: Sequence[NodeProcess], environment: Mapping[str, str] | None = None,
    logs: Path | None = None,
) -> int:
    """
    Start the processes and wait until one of them ends the graph or the user interrupts.

    Raise InvalidInput when the domain already has a node of the same name. Return the exit status,
    INTERRUPTED after Ctrl-C or SIGTERM.
    """
    environment = dict(environment or graph_environment())
    _require_names_free(processes, environment)
    with interrupts() as interrupted:
        status = Supervisor(processes, environment, logs).wait(lambda: bool(interrupted))
    return INTERRUPTED if interrupted else status


def _require_names_free(
    processes: Sequence[NodeProcess], environment: Mapping[str, str],
) -> None:
    import rclpy

    os.environ.update(environment)
    rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node('rl_control_launch')
        time.sleep(DISCOVERY_TIME)
        present = set(node.get_node_names())
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    if taken := sorted(present & {process.name for process in processes}):
        raise InvalidInput(
            f'domain {environment["ROS_DOMAIN_ID"]} already has a node {taken[0]!r}; end that '
            'graph, or set ROS_DOMAIN_ID to another number from 0 to 101')
