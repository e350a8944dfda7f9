"""What a container asks for: GPUs, shared memory, CPU and memory beside them."""
