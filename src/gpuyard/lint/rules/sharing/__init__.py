"""GPUs that several pods share, and GPUs cut in parts: time slicing, MPS, MIG."""
