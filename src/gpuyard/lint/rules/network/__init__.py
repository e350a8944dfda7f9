"""Networks of a pod beside the cluster's own."""
