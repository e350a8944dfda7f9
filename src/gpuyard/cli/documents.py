"""Kubernetes objects as text that people apply and keep in repositories."""

import json
from collections.abc import Mapping, Sequence

import yaml

COLUMNS = 100


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are read, and each object in full, without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(objects: Sequence[Mapping[str, object]]) -> str:
    """Return objects as YAML documents, their fields in the order given."""
    return yaml.dump_all(
        objects,
        Dumper=_Dumper,
        sort_keys=False,
        width=COLUMNS,
        allow_unicode=True,
        explicit_start=len(objects) > 1,
    )


def as_json(objects: Sequence[Mapping[str, object]]) -> str:
    """Return objects as one List of JSON."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2) + "\n"
