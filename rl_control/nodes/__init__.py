# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes, one process each."""

import signal

# While a node's imports last, which is seconds for torch, nothing is there to be saved: an
# interrupt ends the process at once instead of with a trace of the import it happened in.
signal.signal(signal.SIGINT, signal.SIG_DFL)
