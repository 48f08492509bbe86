# SPDX-License-Identifier: Apache-2.0
"""The graph that trains from fixed data, as processes."""

from dataclasses import replace
from pathlib import Path

from datasets import dataset
from training import environment

from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.supervisor import Supervisor
from rl_control.common.errors import InvalidInput
from rl_control.policies.onnx_policy import load


def processes(data: Path, out: Path) -> list[NodeProcess]:
    (process,) = graph('offline').processes(
        {'data': str(data), 'out': str(out), 'algorithm': 'bc', 'updates': '40', 'seed': '5'})
    return [replace(process, parameters={**process.parameters, 'offline.evaluation_updates': 0})]


def test_the_graph_trains_and_ends(tmp_path: Path, ros_domain: int, capfd) -> None:
    data, out = dataset(tmp_path / 'data'), tmp_path / 'out'
    assert Supervisor(processes(data, out), environment()).wait(lambda: False) == 0
    policy = load(out / 'policy.onnx')
    assert (policy.algorithm, policy.version, policy.training_steps) == ('bc', 40, 400)
    assert '40 updates of bc from 400 transitions' in capfd.readouterr().err
    # Bad input ends it with one sentence, and nobody starts it again.
    assert (
        Supervisor(processes(tmp_path / 'none', out), environment()).wait(lambda: False)
        == InvalidInput.status
    )
    (told,) = capfd.readouterr().err.splitlines()
    assert f'there is no data {tmp_path / "none"}; name a dataset' in told
