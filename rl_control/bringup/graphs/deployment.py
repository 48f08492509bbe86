# SPDX-License-Identifier: Apache-2.0
"""Deployment graph: policy node, and for a simulated arm simulator and evaluator."""

from collections.abc import Mapping
from pathlib import Path

from rl_control.bringup.arguments import simulation, truth, whole
from rl_control.bringup.graphs.parts import arm, placed, recorder, scene
from rl_control.bringup.processes import NodeProcess
from rl_control.common.errors import InvalidInput
from rl_control.config.files import parameter_file


def deploy(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return the policy node and, unless the arm is real, a simulator and an evaluator."""
    seed = whole(arguments, 'seed', 0, 2**31 - 1)
    files = (parameter_file('robots', arguments['robot']),
             parameter_file('tasks', arguments['task']))
    if not arguments['policy']:
        raise InvalidInput('argument policy is empty; give policy:=PATH of an ONNX policy')
    engine = simulation(arguments)
    policy = NodeProcess(
        'policy', 'policy', files, {
            'policy.policy': str(Path(arguments['policy']).absolute()),
            'policy.shadow': truth(arguments, 'shadow'),
        }, ends_graph=not engine)
    evaluator = NodeProcess('evaluator', 'evaluator', files, {
        'evaluator.goals': whole(arguments, 'goals', 1, 100_000),
        'evaluator.seed': seed,
        'evaluator.out': arguments['out'],
    }, ends_graph=True)
    processes = [*arm(arguments, files, engine), *([evaluator] if engine else [])]
    processes.insert(int(bool(engine)), policy)
    processes += [
        *recorder(arguments, Path(arguments['policy']).absolute().parent / 'deployment'),
        *scene(arguments, files)]
    return placed(arguments, processes)
