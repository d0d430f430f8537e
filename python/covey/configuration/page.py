"""The page of all keys, written from the lists of options."""

from __future__ import annotations

from collections.abc import Sequence

from covey.configuration.options import Option, Section

_HEAD = """\
# Configuration

Written by `covey config reference` from the lists that the processes themselves read; a test holds it up to date.

One TOML file can hold what servers, controllers and dashboards are told, each its own table:

```toml
[server]
data_directory = "/var/lib/covey"
tokens = "/etc/covey/tokens.json"

[controller]
replica = [
  "data=127.0.0.1:50051,metrics=http://127.0.0.1:9464/metrics",
]
token_file = "/etc/covey/controller-token"

[dashboard]
host = ["covey.example"]
token_file = "/etc/covey/dashboard-token"
```

```sh
covey config check --config covey.toml     # what is wrong with it, with its line
covey config show --config covey.toml      # what holds, and where each value comes from
covey-server --config covey.toml
covey-controller --config covey.toml
covey-dashboard --config covey.toml
```

A flag wins over a variable of the environment, that over the file, that over the default. The file is named by
`--config`, or by `COVEY_CONFIG`. Keys and tables that there are not are errors. Lists are arrays in the file and are
separated by blanks in a variable; switches are `true` or `false`. Secrets themselves are taken from the environment
only, and are never printed.
"""


def page(sections: Sequence[Section]) -> str:
    """Every key of every process, as Markdown."""
    parts = [_HEAD]
    for section in sections:
        parts.append(f"## [{section.name}]\n{section.about} The process is `{section.program}`.\n")
        for group in section.groups:
            rows = "\n".join(_row(section, option) for option in group.options)
            parts.append(f"### {group.title}\n| key | variable | default | what |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def _row(section: Section, option: Option) -> str:
    key = "environment only" if option.is_secret else f"`{option.key}`"
    default = f"`{option.default}`" if option.default else ("`false`" if option.is_switch else "")
    if option.is_required:
        default = "must be given"
    what = option.help
    if option.choices:
        what += f": {', '.join(option.choices)}"
    return f"| {key} | `{section.variable_of(option)}` | {default} | {what.replace('|', chr(92) + '|')} |"
