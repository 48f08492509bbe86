# SPDX-License-Identifier: Apache-2.0
"""Training from fixed data: what it reads, how it trains, what it says of the policy."""
