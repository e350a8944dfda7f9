"""What only the cluster shows: nodes, their taints, labels and health."""
