# SPDX-License-Identifier: Apache-2.0
"""The versions of a policy on disk, and which of them is the best."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
import shutil

from rl_control.errors import Refused
from rl_control.files import read_json, write_json
from rl_control.policy import OnnxPolicy, digest_path, load
from rl_control.score import Score


class Versions:
    """
    `OUT/versions/<version>.onnx`, the newest `keep` of them, `OUT/best.onnx`, and the former best.

    A version that is being evaluated is pinned: it stays until the next one is. What lies in
    `out` is taken up again; a file that is not whole is passed over, which `tell` is told. Raises
    OSError where the disk takes nothing; what was there stays.
    """

    def __init__(self, out: Path, keep: int, tell: Callable[[str], None]) -> None:
        self._directory = out / 'versions'
        self._best, self._former = out / 'best.onnx', out / 'former_best.onnx'
        self._keep = keep
        self._tell = tell
        self._pinned = -1
        self._directory.mkdir(parents=True, exist_ok=True)
        self._kept = sorted(
            int(path.stem) for path in self._directory.glob('*.onnx') if path.stem.isdecimal())
        self.newest = self._newest()
        self.best, self.score, self.withdrawn = self._read_best()
        self.count = 0  # versions kept since the start

    def keep(self, policy: OnnxPolicy) -> None:
        """Save a version, and remove the oldest that is neither needed nor pinned."""
        self.newest = policy
        policy.save(self._path(policy.version))
        self._kept.append(policy.version)
        self.count += 1
        for version in self._kept[:-self._keep]:
            if version != self._pinned:
                self._kept.remove(version)
                _remove(self._path(version))

    def pin(self, version: int) -> None:
        """Keep `version` as long as it is the one that is evaluated."""
        self._pinned = version

    def promote(self, score: Score) -> bool:
        """Make a version the best if it ranks higher than the best; say whether it did."""
        if self.best is not None and score.version == self.best.version:
            self.score = score
            self._write_score()
            return False
        if score.version in self.withdrawn:
            return False
        if self.score is not None and score.rank <= self.score.rank:
            return False
        policy = load(self._path(score.version))
        if self.best is not None:
            self.best.save(self._former)
            if _score_path(self._best).is_file():
                shutil.copyfile(_score_path(self._best), _score_path(self._former))
        policy.save(self._best)
        self.best, self.score = policy, score
        self._write_score()
        return True

    def rollback(self) -> OnnxPolicy:
        """Make the former best the best again, and withdraw the present one for good."""
        if self.best is None or not self._former.is_file():
            raise Refused('there is no best before this one; nothing was changed')
        former = load(self._former)
        self.withdrawn.add(self.best.version)
        former.save(self._best)
        self.best, self.score = former, _read_score(self._former, former.version)[0]
        self._write_score()
        _remove(self._former)
        return former

    def _newest(self) -> OnnxPolicy | None:
        for version in reversed(self._kept):
            try:
                return load(self._path(version))
            except Refused as refused:
                self._tell(str(refused))
        return None

    def _read_best(self) -> tuple[OnnxPolicy | None, Score | None, set[int]]:
        """Return the best, its score where that belongs to it, and what was withdrawn."""
        for path in (self._best, self._former):
            if path.is_file():
                try:
                    policy = load(path)
                except Refused as refused:
                    self._tell(str(refused))
                else:
                    return policy, *_read_score(path, policy.version)
        return None, None, set()

    def _write_score(self) -> None:
        assert self.best is not None, 'what has no best has no score'
        score = self.score or Score(self.best.version)
        write_json(_score_path(self._best), {
            **asdict(score), 'withdrawn': sorted(self.withdrawn)})

    def _path(self, version: int) -> Path:
        return self._directory / f'{version}.onnx'


def _score_path(policy: Path) -> Path:
    return policy.with_suffix('.json')


def _read_score(policy: Path, version: int) -> tuple[Score | None, set[int]]:
    """Return the score beside a policy, None where there is none of it, and the withdrawn."""
    try:
        values = read_json(_score_path(policy))
        withdrawn = {int(number) for number in values.pop('withdrawn')}
        score = Score(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, set()
    return (score if score.version == version and score.episodes else None), withdrawn


def _remove(path: Path) -> None:
    for left in (path, digest_path(path), _score_path(path)):
        left.unlink(missing_ok=True)
