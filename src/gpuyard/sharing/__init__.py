"""Who shares a device, and which device a pod gets."""
