"""A Kubernetes API server as this package sees it: bytes, paths and resource versions.

The room knows no kind. It finds the server and the credentials in a kubeconfig (`kubeconfig`,
`login`), moves requests and answers (`transport`, `http_transport`), walks lists page by page
(`listing`), asks what the server serves and what we may do (`discovery`, `rights`), and decodes
into whatever type the caller hands over. It never starts kubectl.

Whoever only wants objects needs three names: `connect.connected` opens a `client.Client`,
`listing.list_all` reads one kind, `gather.gather` reads many and says what it could not read.

Two promises run through all of it. A secret (token, key, password) stays inside a `secret.Secret`
until it is written to the wire: it is in no log, no repr and no error. An error is one sentence:
what was being done, what was wrong, what to do.
"""
