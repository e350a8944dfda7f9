"""The admission webhook: an API server shows what somebody writes, and hears what lint says of it.

The way of a review: `app` takes bytes, `reviews` reads them, `judge` asks `gpuyard.lint`, `answers`
makes the reply. `server` listens with the certificate that `certificates` keeps fresh, and
`manifests` prints what a cluster needs to call it.

One rule stands above all others: lint never breaks a cluster. Whatever goes wrong in here, the
answer is "allowed" with a warning; whatever goes wrong around here, ``failurePolicy: Ignore`` says
the same.
"""
