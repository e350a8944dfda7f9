"""What becomes of a job when a pod fails, a node goes, or nothing moves any more."""
