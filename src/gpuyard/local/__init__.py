"""A whole Kubernetes on this machine: etcd, API server, controllers, scheduler.

Real programs, on loopback, as many clusters side by side as one likes, gone without a trace when
they are stopped or when whoever started them dies. `programs` finds the programs, `build` makes
them from their Go modules where there are none, `cluster.start` runs them.

Needed for it: the extra ``gpuyard[local]`` (certificates), and either a Go toolchain or the
programs themselves in ``KUBEBUILDER_ASSETS``, on ``PATH`` or in the cache folder.
"""
