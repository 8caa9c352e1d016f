"""A RELAX NG schema, and what it finds in documents: first what is wrong, then what libxml2 says about it."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import Any

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.findings import SILENT, Finding, Places
from psthreads.processes.xml.namespaces import rng_namespaces
from psthreads.processes.xml.parsing import MOST_PROBLEMS, plain, refuse_shortage
from psthreads.processes.xml.relaxng.blaming import Blame


class RelaxNgSchema:
    """A compiled RELAX NG schema, with its includes inserted; raises an LxmlError if it is none."""

    def __init__(self, path: str, source: etree._Element) -> None:
        self.path = path
        self._source = source
        self._compiled = etree.RelaxNG(source)
        self._namespaces = rng_namespaces(source)

    def is_for(self, namespace: str) -> bool:
        """Do as Schema."""
        return self._namespaces is None or namespace in self._namespaces

    def findings(self, root: etree._Element) -> list[Finding]:
        """Do as Schema."""
        try:
            if self._compiled.validate(root):
                return []
        except etree.LxmlError as error:
            raise Unusable(f"the schema {self.path} cannot be applied: {plain(str(error))}") from None
        log = list(islice(self._compiled.error_log, MOST_PROBLEMS + 2))
        refuse_shortage(log)
        findings = [*self._blame.findings(root), *_folded(root, log)]
        return findings[: MOST_PROBLEMS + 1] or [Finding(root, SILENT)]

    @cached_property
    def _blame(self) -> Blame:
        return Blame(self._source)


def _folded(root: etree._Element, log: list[Any]) -> list[Finding]:
    """Return the messages of libxml2, one for each kind at one element, the deepest element first."""
    places = Places(root)
    folded: dict[tuple[etree._Element, int], list[str]] = {}
    # This message says nothing; those after it do.
    for entry in [entry for entry in log if "element , got nothing" not in entry.message] or log:
        folded.setdefault((places.of(entry), entry.type), []).append(entry.message)
    findings = [
        Finding(element, texts[0] if len(texts) == 1 else f"{texts[0]} (and {len(texts) - 1} more of this kind)")
        for (element, _), texts in folded.items()
    ]
    return sorted(findings, key=lambda finding: -sum(1 for _ in finding.element.iterancestors()))
