"""NICs with RDMA: their resources, second networks, locked memory; NVLink between nodes."""
