"""How we introduce ourselves to API servers, so that audit logs can tell who asked."""

import importlib.metadata

USER_AGENT = f"gpuyard/{importlib.metadata.version('gpuyard')}"
