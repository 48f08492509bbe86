# SPDX-License-Identifier: Apache-2.0
"""The graph that runs a policy."""

from collections.abc import Mapping
from pathlib import Path

from rl_control.arguments import truth, whole
from rl_control.config.files import named
from rl_control.errors import Refused
from rl_control.graphs.parts import arm, placed, recorder, scene
from rl_control.processes import NodeProcess


def deploy(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return the policy node and, unless the arm is real, a simulator and an examiner."""
    seed = whole(arguments, 'seed', 0, 2**31 - 1)
    files = (named('robots', arguments['robot']), named('tasks', arguments['task']))
    if not arguments['policy']:
        raise Refused('argument policy is empty; give policy:=PATH of an ONNX policy')
    simulated = truth(arguments, 'simulate')
    policy = NodeProcess(
        'policy', 'policy', files, {
            'policy.policy': str(Path(arguments['policy']).absolute()),
            'policy.shadow': truth(arguments, 'shadow'),
        }, ends_graph=not simulated)
    examiner = NodeProcess('examiner', 'examiner', files, {
        'examiner.goals': whole(arguments, 'goals', 1, 100_000),
        'examiner.seed': seed,
        'examiner.out': arguments['out'],
    }, ends_graph=True)
    processes = [*arm(arguments, files, simulated), *([examiner] if simulated else [])]
    processes.insert(int(simulated), policy)
    processes += [
        *recorder(arguments, Path(arguments['policy']).absolute().parent / 'deployment'),
        *scene(arguments, files)]
    return placed(arguments, processes)
