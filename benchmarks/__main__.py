# SPDX-License-Identifier: Apache-2.0
"""Benchmarks, `python -m benchmarks [PART ...]`: compare parts of the package with peers."""

import argparse
import sys

from benchmarks.parts import cli
from rl_control.common.errors import InvalidInput


def main(arguments: list[str] | None = None) -> int:
    """Return 0, 1 where a goal was missed, 2 for bad input."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=cli.__doc__)
    cli.configure(parser)
    try:
        return cli.run(parser.parse_args(arguments))
    except InvalidInput as refused:
        print(f'benchmarks: {refused}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
