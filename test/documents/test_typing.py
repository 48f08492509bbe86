# SPDX-License-Identifier: Apache-2.0
"""The pure rooms are typed, strictly: what mypy.ini lists."""

from pathlib import Path

from mypy import api

ROOT = Path(__file__).parents[2]


def test_the_pure_rooms_are_typed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    found, errors, status = api.run(['--cache-dir', str(tmp_path)])
    assert status == 0, found + errors
