"""How the ranks of a job find each other: torchrun, addresses, sizes, host networking."""
