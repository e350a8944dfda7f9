"""``python -m gpuyard``: the same as the command ``gpuyard``."""

from gpuyard.cli.main import main

if __name__ == "__main__":
    main()
