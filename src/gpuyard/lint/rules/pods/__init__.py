"""What a pod says beside its resources: levels, links, meshes, policies, images, secrets."""
