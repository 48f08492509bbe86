# SPDX-License-Identifier: Apache-2.0
"""
Run every command of the tutorials first.md and your_robot.md, and print its duration.

    python benchmarks/tutorial.py

The directory of the first tutorial, runs/first, must not exist.
"""

import os
from pathlib import Path
import re
import shlex
import subprocess
import sys
import time

ROOT = Path(__file__).parents[1]
FIRST = ROOT / 'docs' / 'tutorials' / 'first.md'
PAGE = ROOT / 'docs' / 'tutorials' / 'your_robot.md'


def commands(page: Path) -> list[list[str]]:
    """Return the words of each line in the page's bash blocks."""
    blocks = re.findall(r'^```bash\n(.*?)^```', page.read_text(encoding='utf-8'), re.M | re.S)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run one command of the page from the top of the repository."""
    assert words[0] == 'rl-control', words
    return subprocess.run(
        [sys.executable, '-m', 'rl_control', *words[1:]], cwd=ROOT, check=False,
        env={**os.environ, 'PYTHONPATH': str(ROOT)}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)


def main() -> int:
    """Run all commands; return 1 when one fails."""
    for words in [*commands(FIRST), *commands(PAGE)]:
        print('$', shlex.join(words), flush=True)
        began = time.monotonic()
        ended = run(words)
        print(ended.stdout.strip()[-1000:])
        print(f'-> {ended.returncode}, {time.monotonic() - began:.0f} s', flush=True)
        if ended.returncode:
            return 1
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
