"""When a pod has to go: who may ask it to, how long it has, and what it leaves behind."""
