"""From kubeconfig files to one way into one cluster.

`files` finds and reads them, `schema` names the fields, `merge` makes several files one as kubectl
does, `choose` picks context, cluster and user and resolves everything relative into an `Access`,
`in_cluster` makes the same from a pod's service account, `proxies` finds the proxy that the
environment asks for.

Semantics: client-go v0.36, tools/clientcmd (loader.go, client_config.go, validation.go).
"""
