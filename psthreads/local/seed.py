"""The first start's data: a group with sample documents, and a member of each role."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from psthreads.audit.entries import SETUP
from psthreads.documents.storage import Storage
from psthreads.domain.access import Group, Member, Role
from psthreads.domain.errors import ConfigError, Conflict, GroupNotFound, MemberNotFound
from psthreads.identity.directory import Directory
from psthreads.identity.passwords import generate

GROUP: Final = "acme"
ADMINISTRATOR: Final = "admin"
_TOKEN: Final = "make-run"  # noqa: S105 (the name of a token)


@dataclass(frozen=True, slots=True)
class Login:
    """The credentials of one member. `role` is empty for the administrator."""

    password: str
    token: str
    role: str
    admin: bool
    id: int


class Seed:
    """Makes the missing group, members and documents; keeps the credentials in a file that only its owner can read."""

    def __init__(self, directory: Directory, documents: Storage, samples: Path, credentials: Path) -> None:
        self._directory = directory
        self._changes = directory.by(SETUP)
        self._documents = documents
        self._samples = samples
        self._credentials = credentials
        self._logins = self._read()

    def sow(self) -> tuple[dict[str, Login], bool]:
        """Return the logins by username, and whether any of them is new.

        A start that was cut short can be repeated. Raises ConfigError when Redis has a member whose password is not in
        the file.
        """
        before = dict(self._logins)
        group = self._group()
        for role in Role:
            self._member(role.value, group, role)
        self._member(ADMINISTRATOR)
        return self._logins, self._logins != before

    def _group(self) -> Group:
        try:
            group = self._directory.find_group(GROUP)
        except GroupNotFound:
            group = self._changes.add_group(GROUP)
        folder = self._documents.group(group)
        folder.create()
        # The administrator is made last: without that login, no start was complete.
        if ADMINISTRATOR not in self._logins or not next(folder.walk(), None):
            for path in sorted(self._samples.rglob("*")):
                if path.is_file():
                    folder.write("/" + path.relative_to(self._samples).as_posix(), path.read_bytes())
        return group

    def _member(self, username: str, group: Group | None = None, role: Role | None = None) -> None:
        login = self._logins.get(username)
        is_admin, role_name = role is None, role.value if role else ""
        try:
            member = self._directory.find_member(username)
        except MemberNotFound:
            # The password is stored before it is valid, so that a start that is cut short loses none.
            password = login.password if login else generate()
            self._keep(username, Login(password, "", role_name, is_admin, 0))
            member = self._changes.add_member(username, password, admin=is_admin)
        else:
            if login is None:
                raise ConfigError(
                    f"Redis has a member '{username}' whose password is not in {self._credentials}: "
                    "put that file back, or use an empty Redis."
                )
        login = self._logins[username]
        if login.id != member.id or not login.token:
            # Not at later starts, which keep the role that somebody has set since.
            if group is not None and role is not None:
                self._changes.set_membership(member, group, role)
        elif _TOKEN in {token.name for token in self._directory.tokens(member)}:
            return
        self._keep(username, replace(login, token=self._token(member), id=member.id))

    def _token(self, member: Member) -> str:
        try:
            return self._changes.create_token(member, _TOKEN)
        except Conflict:
            self._changes.revoke_token(member, _TOKEN)
            return self._changes.create_token(member, _TOKEN)

    def _read(self) -> dict[str, Login]:
        try:
            logins = json.loads(self._credentials.read_text())
            return {username: Login(**login) for username, login in logins.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self._credentials} cannot be read as credentials: {error}. Remove it.") from None

    def _keep(self, username: str, login: Login) -> None:
        self._logins = {**self._logins, username: login}
        content = {username: asdict(login) for username, login in self._logins.items()}
        temporary = self._credentials.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:  # noqa: PTH123 (the file never has another mode)
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._credentials)
