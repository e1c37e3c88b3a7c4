"""Options as YAML that says to every reader what they are."""

from __future__ import annotations

import re
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Puts texts such as 1e3 in quotes: PyYAML reads them as text, jsonargparse as numbers."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def yaml_text(options: Any) -> str:
    """Return options as YAML, in their order."""
    return str(
        yaml.dump(
            options, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False
        )
    )


def without_key(content: str, name: str) -> str:
    """Return a mapping as YAML without one of its keys, every other value as it was written.

    Args:
        content: The mapping as YAML.
        name: The key.
    """
    mapping = yaml.compose(content, Loader=yaml.SafeLoader)
    assert isinstance(mapping, yaml.MappingNode)
    mapping.value = [pair for pair in mapping.value if pair[0].value != name]
    return str(yaml.serialize(mapping, Dumper=yaml.SafeDumper, allow_unicode=True))
