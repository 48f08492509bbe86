# SPDX-License-Identifier: Apache-2.0
"""The versions of a policy on disk, and which of them is the best."""

from dataclasses import asdict, dataclass
from pathlib import Path

from rl_control.files import write_json
from rl_control.policy import OnnxPolicy, load


@dataclass
class Score:
    """What the evaluation episodes of one pinned version came to."""

    version: int
    episodes: int = 0
    successes: int = 0
    return_sum: float = 0.0

    def add(self, success: bool, episode_return: float) -> None:
        """Count one episode."""
        self.episodes += 1
        self.successes += success
        self.return_sum += episode_return

    @property
    def rank(self) -> tuple[float, float]:
        """Return what is compared: the share of successes, then the mean return."""
        return self.successes / self.episodes, self.return_sum / self.episodes


class Versions:
    """
    `OUT/versions/<version>.onnx`, the newest `keep` of them, and `OUT/best.onnx`.

    A version that is being evaluated is pinned: it stays until the next one is.
    """

    def __init__(self, out: Path, keep: int) -> None:
        self._out = out
        self._directory = out / 'versions'
        self._directory.mkdir(parents=True, exist_ok=True)
        self._keep = keep
        self._kept: list[int] = []
        self._pinned = -1
        self.best: Score | None = None
        self.count = 0

    def keep(self, policy: OnnxPolicy) -> None:
        """Save a version, and remove the oldest that is neither needed nor pinned."""
        policy.save(self._path(policy.version))
        self._kept.append(policy.version)
        self.count += 1
        for version in self._kept[:-self._keep]:
            if version != self._pinned:
                self._remove(version)

    def pin(self, version: int) -> None:
        """Keep `version` as long as it is the one that is evaluated."""
        self._pinned = version

    def promote(self, score: Score) -> OnnxPolicy | None:
        """Make a version the best if it ranks higher; return it if so."""
        if self.best is not None and score.rank <= self.best.rank:
            return None
        policy = load(self._path(score.version))
        policy.save(self._out / 'best.onnx')
        write_json(self._out / 'best.json', asdict(score))
        self.best = score
        return policy

    def _path(self, version: int) -> Path:
        return self._directory / f'{version}.onnx'

    def _remove(self, version: int) -> None:
        self._kept.remove(version)
        path = self._path(version)
        path.unlink()
        path.with_name(path.name + '.sha256').unlink()
