"""Members of every kind, in their own group and in another one, each with a token."""

from __future__ import annotations

from base64 import b64encode

from psthreads.audit.entries import SETUP
from psthreads.documents.storage import Storage
from psthreads.domain.access import Group, Member, Role
from psthreads.identity.directory import Directory

PASSWORD = "correct horse battery"
INSIDE = {role.value: role for role in Role}
"""The members of group acme, named after their role there."""


class People:
    def __init__(self, directory: Directory, documents: Storage) -> None:
        self.directory = directory
        self.acme = directory.by(SETUP).add_group("acme")
        self.other = directory.by(SETUP).add_group("other")
        for group in (self.acme, self.other):
            documents.group(group).create()
        self.acme_folder = documents.group(self.acme)
        self.members: dict[str, Member] = {}
        self._tokens: dict[str, str] = {}
        for name, role in INSIDE.items():
            member = self._add(name)
            directory.by(SETUP).set_membership(member, self.acme, role)
        outsider = self._add("outsider")
        directory.by(SETUP).set_membership(outsider, self.other, Role.MANAGER)
        self._add("loner")
        self._add("chief", admin=True)

    def _add(self, name: str, *, admin: bool = False) -> Member:
        member = self.directory.by(SETUP).add_member(name, PASSWORD, admin=admin)
        self.members[name] = member
        self._tokens[name] = self.directory.by(SETUP).create_token(member, "test")
        return member

    def token(self, name: str) -> str:
        return self._tokens[name]

    def bearer(self, name: str) -> dict[str, str]:
        """Headers that sign the member in; none for `anonymous`."""
        return {} if name == "anonymous" else {"Authorization": f"Bearer {self._tokens[name]}"}

    def basic(self, name: str, password: str = PASSWORD) -> dict[str, str]:
        return {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}

    def group(self, name: str) -> Group:
        return self.acme if name == "acme" else self.other
