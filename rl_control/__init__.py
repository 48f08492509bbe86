# SPDX-License-Identifier: Apache-2.0
"""Train a continuous-control policy with robots or simulators, and run it on the arm."""

__version__ = '0.1.0'
