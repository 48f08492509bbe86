# SPDX-License-Identifier: Apache-2.0
"""The matrix products of an update against torch's count of its operations."""

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.parts.fixtures import ACTION, OBSERVATION, contract
from benchmarks.parts.products import of_update, products
from rl_control.learning.algorithms import make_agent, settings_of
from rl_control.learning.replay import Batch


@pytest.mark.parametrize('name', ['sac', 'td3', 'ddpg', 'naf', 'qt_opt'])
def test_the_floor_is_what_an_update_multiplies(name: str) -> None:
    agent = make_agent(name, contract(), settings_of(name)(hidden_sizes=(64, 64), batch_size=32))
    rng = np.random.default_rng(0)

    def rows(*sizes: int) -> np.ndarray:
        return rng.uniform(-1.0, 1.0, sizes).astype(np.float32)

    batch = Batch(rows(32, OBSERVATION), rows(32, ACTION), rows(32), rows(32, OBSERVATION),
                  np.ones(32, np.float32))
    with FlopCounterMode(display=False) as counter:
        for _ in range(2 if name == 'td3' else 1):
            agent.update(batch)
    needed = sum(2 * rows * inner * columns for rows, inner, columns in of_update(
        name, OBSERVATION, ACTION, 64, 32))
    # No more than is done; little is done beside it: heads of width 1, small pieces.
    assert 0.9 * counter.get_total_flops() <= needed <= counter.get_total_flops()


@pytest.mark.parametrize('name', ['sac', 'td3', 'qt_opt'])
def test_what_is_timed_for_the_floor_multiplies_it(name: str) -> None:
    """Each call is an update; of TD3 the second one makes the products of both."""
    run = products(name, OBSERVATION, ACTION, 64, 32)
    needed = sum(2 * rows * inner * columns for rows, inner, columns in of_update(
        name, OBSERVATION, ACTION, 64, 32))
    for expected in (0 if name == 'td3' else needed, needed):
        with FlopCounterMode(display=False) as counter:
            run()
        assert counter.get_total_flops() == expected
