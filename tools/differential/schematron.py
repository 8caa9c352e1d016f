"""Says of documents whether they are valid by a Schematron schema: `python schematron.py SCHEMA DOCUMENT…`.

Saxon runs ISO Schematron's own stylesheets, which lxml ships, on the schema, and what they make of it on the documents.
It prints "valid", "invalid" or "unknown" for each, as Validate.java does. What has the role of a warning or of
information is no error.
"""

from __future__ import annotations

import importlib.resources
import sys
from typing import Any, Final

from saxonche import PySaxonApiError, PySaxonProcessor

_STEPS: Final = ("iso_dsdl_include.xsl", "iso_abstract_expand.xsl", "iso_svrl_for_xslt1.xsl")
_ERRORS: Final = (
    "count(//*:failed-assert[not(matches(@role, '^(warn|info)', 'i'))]"
    " | //*:successful-report[not(matches(@role, '^(warn|info)', 'i'))])"
)


def main(schema: str, documents: list[str]) -> None:
    """Print a line for each document."""
    processor: Any = PySaxonProcessor(license=False)
    xslt, xpath = processor.new_xslt30_processor(), processor.new_xpath_processor()
    folder = importlib.resources.files("lxml") / "isoschematron/resources/xsl/iso-schematron-xslt1"
    with importlib.resources.as_file(folder) as stylesheets:
        node = processor.parse_xml(xml_file_name=schema)
        for step in _STEPS:
            node = (
                xslt.compile_stylesheet(stylesheet_file=str(stylesheets / step)).transform_to_value(xdm_node=node).head
            )
    rules = xslt.compile_stylesheet(stylesheet_node=node)
    for document in documents:
        try:
            report = rules.transform_to_value(xdm_node=processor.parse_xml(xml_file_name=document)).head
            xpath.set_context(xdm_item=report)
            print("invalid" if int(str(xpath.evaluate_single(_ERRORS))) else "valid")
        except PySaxonApiError:
            print("unknown")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
