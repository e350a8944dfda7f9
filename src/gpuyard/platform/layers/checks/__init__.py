"""What contradicts itself among the layers: each check a row, by topic.

`doubles`: two that do the same on one node. `gaps`: layers that nobody provides, nodes that nobody
reaches. `states`: what is installed and does not work. `settings`: what was configured so that it
cannot work together.
"""

from gpuyard.platform.layers.checks import doubles, gaps, settings, states

CHECKS = (*doubles.CHECKS, *gaps.CHECKS, *states.CHECKS, *settings.CHECKS)
"""Every check, in the order in which it is asked."""
