# SPDX-License-Identifier: Apache-2.0
"""Non-finite updates are rolled back and never published."""

from collections.abc import Callable

from learning import OBSERVATION
import numpy as np
import pytest
import torch
from trainers import Running, learn, make, save, some_steps

from rl_control.learning import checkpoint, divergence
from rl_control.learning.divergence import finite
from rl_control.learning.trainer import Trainer
from rl_control.policies.onnx_policy import OnnxPolicy


def broken(one: Trainer, how: str) -> Callable:
    """Return an update of `one` that goes wrong: in its losses, or first in its weights."""
    update = one.agent.update
    wrongs = {'loss': {'actor_loss': torch.tensor(torch.nan)}, 'weights': {},
              'infinities': {'actor_loss': torch.tensor(torch.inf),
                             'critic_loss': torch.tensor(-torch.inf)}}

    def wrong(*given):
        losses = update(*given)
        one.agent.actor_optimiser.weights.flat.fill_(torch.nan)
        return {**losses, **wrongs[how]}

    return wrong


@pytest.mark.parametrize('how', ['loss', 'weights', 'infinities'])
def test_an_update_that_is_not_finite_is_taken_back(tmp_path, monkeypatch, how):
    with Running(tmp_path) as running:
        one = running.trainer
        running.until(lambda: len(running.published) >= 2)
        before, versions = one.updates, len(running.published)
        with monkeypatch.context() as patch:
            patch.setattr(one.agent, 'update', broken(one, how))
            running.until(lambda: one.recovery.count >= 5 and one.recovery.consecutive >= 5)
        running.until(lambda: len(running.published) >= versions + 2)
        assert one.recovery.consecutive == 0 and one.updates > before
    assert finite(one.agent.tensors())
    versions = [version for version, _ in running.published]
    assert versions == sorted(set(versions))
    for version, data in running.published:
        assert np.isfinite(OnnxPolicy(data).act(np.zeros(OBSERVATION))[0]).all(), version
    assert all(np.isfinite(value) for value in one.metrics.values())
    for path in (tmp_path / 'checkpoints').glob('[0-9]*'):
        assert finite(checkpoint.load(path).tensors)


def test_priorities_that_are_not_finite_are_taken_back(tmp_path):
    one = make(tmp_path, priority_exponent=0.6)
    one.put(some_steps(0, 60))
    one._ingest(wait=False)
    assert one.recovery.keep()
    one.agent.critic_optimiser.weights.flat.fill_(1e30)
    assert (one._learn(), one.recovery.count) == ({}, 1)
    assert one._learn() and one.recovery.count == 1 and finite(one.agent.tensors())


def test_after_many_in_a_row_the_newest_checkpoint_is_gone_back_to(tmp_path, monkeypatch):
    one = make(tmp_path)
    one.put(some_steps(0, 60))
    learn(one)
    save(one)
    saved = one.agent.tensors()
    one.put(some_steps(60, 60))
    learn(one)
    assert one.recovery.keep() and one.updates > 10
    kept, wrong = one.updates, broken(one, 'loss')
    for number in range(1, divergence.ROLLBACK_LIMIT + 1):
        assert not one.recovery.check(wrong(one.replay.sample(8)))
        assert one.updates == (kept if number < divergence.ROLLBACK_LIMIT else 10)
    assert all(torch.equal(saved[name], tensor) for name, tensor in one.agent.tensors().items())
    assert one.recovery.check(one.agent.update(one.replay.sample(8)))
    assert one.recovery.count == one.recovery.consecutive == divergence.ROLLBACK_LIMIT
    assert one.recovery.keep() and one.recovery.consecutive == 0
