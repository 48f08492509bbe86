# SPDX-License-Identifier: Apache-2.0
"""The cross-entropy method on functions whose maximum is known."""

import numpy as np
import torch

from rl_control.learning.algorithms.cross_entropy import maximise

DRAWS = torch.randn(2, 20, 64, 2, generator=torch.Generator().manual_seed(0))


def _quadratic(centre: torch.Tensor):
    return lambda actions: -(actions - centre[:, None]).square().sum(-1)


def test_finds_the_maximum_of_quadratics():
    generator = torch.Generator().manual_seed(1)
    centre = 1.6 * torch.rand(20, 2, generator=generator) - 0.8
    draws = torch.randn(6, 20, 128, 2, generator=generator)
    action, value = maximise(_quadratic(centre), draws, 16)
    assert (action - centre).abs().max() < 0.01
    assert (value > -1e-4).all() and (value <= 0.0).all()
    # With the two iterations of the paper it is near.
    action, _ = maximise(_quadratic(centre), draws[:2, :, :64], 6)
    assert (action - centre).norm(dim=1).mean() < 0.1


def test_finds_maxima_at_and_beyond_the_bounds():
    centre = torch.tensor([[1.0, -1.0], [3.0, 0.0], [-3.0, 3.0]])
    action, _ = maximise(_quadratic(centre), DRAWS[:, :3], 6)
    torch.testing.assert_close(action[0], torch.tensor([1.0, -1.0]), atol=0.02, rtol=0.0)
    torch.testing.assert_close(action[2], torch.tensor([-1.0, 1.0]))
    assert action[1, 0] > 0.95 and abs(action[1, 1]) < 0.15


def _two_hills(actions: torch.Tensor) -> torch.Tensor:
    """Return a hill of 1 at (-0.6, -0.6), one of 0.8 at (0.6, 0.6), and a valley at 0."""
    return (torch.exp(-(actions + 0.6).square().sum(-1) / 0.08)
            + 0.8 * torch.exp(-(actions - 0.6).square().sum(-1) / 0.08))


def test_finds_the_higher_of_two_hills():
    generator = torch.Generator().manual_seed(3)
    action, value = maximise(_two_hills, torch.randn(6, 50, 256, 2, generator=generator), 16)
    higher = (action + 0.6).norm(dim=1) < 0.1
    lower = (action - 0.6).norm(dim=1) < 0.1
    assert (higher | lower).all() and higher.float().mean() > 0.6
    torch.testing.assert_close(value, _two_hills(action[:, None])[:, 0])
    # A quadratic has one hill: the best fit to these two has its top in the valley.
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 41)] * 2), -1).reshape(-1, 2)
    x, y = grid.T
    columns = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1)
    fit = np.linalg.lstsq(columns, _two_hills(torch.from_numpy(grid)).numpy(), rcond=None)[0]
    hessian = np.array([[2 * fit[3], fit[4]], [fit[4], 2 * fit[5]]])
    top = np.linalg.solve(hessian, -fit[1:3])
    assert _two_hills(torch.from_numpy(top)).item() < 0.2 < 0.7 < value.min()


def test_against_a_plain_loop():
    """One state at a time, in numpy, sorted in full."""
    centre = torch.linspace(-0.9, 0.9, 40).view(20, 2)
    action, value = maximise(_quadratic(centre), DRAWS, 6)
    for k in range(20):
        mean, deviation = np.zeros(2), np.ones(2)
        for draw in DRAWS[:, k].numpy():
            candidates = np.clip(mean + deviation * draw, -1.0, 1.0)
            q = -np.square(candidates - centre[k].numpy()).sum(1)
            elite = candidates[np.argsort(-q)[:6]]
            mean, deviation = elite.mean(0), elite.std(0, ddof=1)
        np.testing.assert_allclose(action[k], elite[0], atol=1e-5)
        np.testing.assert_allclose(value[k], q.max(), atol=1e-5)


def test_what_is_not_finite_is_never_an_elite():
    """NaN, and infinity, on one half: what is found is the best of the other half."""
    for poison in (torch.nan, torch.inf, -torch.inf):
        seen = []

        def q(actions, poison=poison, seen=seen):
            seen.append(actions)
            return torch.where(actions[..., 0] > 0.0, poison, -actions[..., 0].abs())

        action, value = maximise(q, DRAWS, 6)
        assert torch.isfinite(action).all() and torch.isfinite(value).all()
        assert (action[:, 0] <= 0.0).all() and (action[:, 0] > -0.3).all()
        # The second candidates are about elites of the good half.
        assert (seen[1][..., 0].mean(1) < 0.0).all()


def test_with_fewer_finite_candidates_than_elites_only_these_count():
    def q(actions):
        value = torch.full(actions.shape[:2], torch.nan)
        value[:, 7] = 1.0
        return value

    # The second iteration has that one alone to go about, and no width.
    action, value = maximise(q, DRAWS, 6)
    torch.testing.assert_close(action, DRAWS[0, :, 7].clamp(-1.0, 1.0))
    assert (value == 1.0).all()


def test_with_none_finite_there_is_no_action():
    for iterations in (1, 2):
        action, _ = maximise(
            lambda actions: actions[..., 0] * torch.nan, DRAWS[:iterations], 6)
        assert torch.isnan(action).all()
    # One state whose values are lost does not touch the others.
    lost = torch.zeros(20, 1)
    lost[3] = torch.nan
    action, _ = maximise(lambda actions: actions[..., 0] + lost, DRAWS, 6)
    assert torch.isnan(action).any(1).tolist() == [k == 3 for k in range(20)]
