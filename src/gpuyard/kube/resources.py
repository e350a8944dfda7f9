"""A kind as an API server serves it: group, version, plural, and the path where it lies.

Paths: Kubernetes API conventions, "Resource URIs"; the core group lies under ``/api``, all others
under ``/apis``.
"""

from urllib.parse import quote

import msgspec


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One kind in one version. `verbs` and `subresources` are what the server says it serves."""

    group: str
    version: str
    kind: str
    plural: str
    is_namespaced: bool
    verbs: frozenset[str] = frozenset()
    subresources: frozenset[str] = frozenset()

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def name(self) -> str:
        """Its name for people and roles: ``pods``, ``jobs.batch``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return where its objects lie, or one of them, or a part of one."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if namespace and self.is_namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def where(self, namespace: str = "") -> str:
        """Return the place for a sentence: " in namespace 'x'" or nothing."""
        return f" in namespace {namespace!r}" if namespace and self.is_namespaced else ""
