# SPDX-License-Identifier: Apache-2.0
"""Command-line entry point: `python -m rl_control` is `rl-control`."""

from rl_control.cli import main

raise SystemExit(main())
