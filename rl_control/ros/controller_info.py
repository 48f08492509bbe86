# SPDX-License-Identifier: Apache-2.0
"""Controller info: query a running ros2_control controller by standard services."""

from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.parameter_client import AsyncParameterClient

from rl_control.ros import codec

PARAMETERS = ('joints', 'command_interfaces', 'interpolate_from_desired_state')


def query_controller(controller: str, manager: str) -> dict[str, Any]:
    """Return `controller_facts`, queried by a temporary node."""
    rclpy.init(args=[])
    try:
        node = rclpy.create_node('rl_control_check')
        try:
            return controller_facts(node, controller, manager)
        finally:
            node.destroy_node()
    finally:
        rclpy.try_shutdown()


def controller_facts(
    node: Node, controller: str, manager: str = 'controller_manager', timeout: float = 2.0
) -> dict[str, Any]:
    """
    Return state, joints, command interfaces, update rate; None for a query without answer.

    Spins `node`, for at most `timeout` s a query.
    """
    facts: dict[str, Any] = {'state': None, 'update_rate': None, **dict.fromkeys(PARAMETERS)}
    client = node.create_client(codec.GetState, f'{controller}/get_state')
    if client.wait_for_service(timeout_sec=timeout):
        answer = _answer(node, client.call_async(codec.GetState.Request()), timeout)
        facts['state'] = answer and answer.current_state.label
    node.destroy_client(client)
    facts.update(_parameters(node, controller, PARAMETERS, timeout))
    facts.update(_parameters(node, manager, ('update_rate',), timeout))
    return facts


def _parameters(
    node: Node, remote: str, names: tuple[str, ...], timeout: float
) -> dict[str, Any]:
    client = AsyncParameterClient(node, remote)
    if not client.wait_for_services(timeout_sec=timeout):
        return {}
    answer = _answer(node, client.get_parameters(list(names)), timeout)
    if answer is None:
        return {}
    return {name: rclpy.parameter.parameter_value_to_python(value)
            for name, value in zip(names, answer.values, strict=False)}


def _answer(node: Node, future: rclpy.task.Future, timeout: float) -> Any:
    rclpy.spin_until_future_complete(node, future, timeout_sec=timeout)
    return future.result() if future.done() else None
