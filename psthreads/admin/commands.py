"""The operator's commands: `psthreads admin member|group|membership|token|client|audit|installation …`."""

from __future__ import annotations

from typing import Final

import click

from psthreads.admin.audit_commands import audit
from psthreads.admin.credential_commands import client, token
from psthreads.admin.installation_commands import installation
from psthreads.admin.member_commands import group, member, membership

COMMANDS: Final[tuple[click.Command, ...]] = (member, group, membership, token, client, audit, installation)
