"""The gpu-operator at work: driver upgrades, neighbours, what it leaves on nodes."""
