"""Labels and taints that each cloud gives its GPU nodes, and what manifests make of them."""
