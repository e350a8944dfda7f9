"""Environment variables of NCCL, and the interfaces that they name."""
