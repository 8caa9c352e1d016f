"""Finds the document of a group that a reference means: by the group's catalog, among the built-in ones, or by path."""

from __future__ import annotations

from psthreads.domain.errors import DocumentNotFound, PsthreadsError
from psthreads.processes.bounded.files import Files
from psthreads.processes.xml.catalogs.built_in import ADDRESSES, CONTENTS
from psthreads.processes.xml.catalogs.catalog import PATH, Catalog
from psthreads.processes.xml.includes import Absent, Includer, inside


class Locator:
    """Finds documents of one group.

    The methods raise Absent if the group does not have what is meant, and Unusable if its catalog cannot be used.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._catalog = Catalog(Includer(files)) if self.has(PATH) else None
        self.has_catalog = self._catalog is not None

    def reference(self, base: str, href: str) -> str:
        """Return the path of what the document at `base` refers to: a schema, a stylesheet or a part of one."""
        if path := self._by_catalog(href):
            return path
        return ADDRESSES.get(href) or inside(base, href)

    def namespace(self, namespace: str) -> str:
        """Return the path of the schema that the catalog, or psthreads, has for a namespace; "" if there is none."""
        return (self._by_catalog(namespace) or ADDRESSES.get(namespace, "")) if namespace else ""

    def external(self, base: str, public: str, system: str) -> str:
        """Return the path of a document type or an entity that the document at `base` declares."""
        # A catalog may name a path of another machine, which libxml2 has made one of the group.
        if self._catalog is not None and (path := self._catalog.external(public, system.removeprefix("group://"))):
            return path
        if not system:
            raise Absent(f"it refers to '{public}', for which the group's catalog has nothing")
        path = inside(base, system)
        if not self.has(path):
            raise Absent(f"it refers to '{system}', which this group does not have")
        return path

    def _by_catalog(self, address: str) -> str:
        if self._catalog is None or not address:
            return ""
        # Many catalogs list schemas as if they were document types.
        return self._catalog.uri(address) or self._catalog.external(system=address)

    def has(self, path: str) -> bool:
        """Tell whether the group has a document with this path."""
        if path in CONTENTS:
            return True
        try:
            self._files.resolve(path)
        except DocumentNotFound:
            return False
        except PsthreadsError:
            return True  # A link, say: whoever opens it says what is wrong.
        return True
