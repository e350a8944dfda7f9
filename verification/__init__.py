"""Programs that compare gpuyard with published results; each exits non-zero on a miss."""
