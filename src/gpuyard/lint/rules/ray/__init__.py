"""What KubeRay makes of a manifest, and what Ray believes."""
