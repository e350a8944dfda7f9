"""GPUs that several pods share: MIG, time slicing, MPS."""
