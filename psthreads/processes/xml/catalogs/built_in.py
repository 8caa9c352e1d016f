"""The schemas that every group has: `xml.xsd` and `xlink.xsd`, by the addresses that real schemas import them from.

They declare the attributes that the recommendations define (XML 1.0 sections 2.10 and 2.12, XML Base, xml:id, XLink 1.1
section 5), under the names that schemas refer to. The text is psthreads' own, and not that of W3C's documents.
"""

from __future__ import annotations

from typing import Final

_XML: Final = """\
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="http://www.w3.org/XML/1998/namespace">
<xs:attribute name="lang"><xs:simpleType><xs:union memberTypes="xs:language">
  <xs:simpleType><xs:restriction base="xs:string"><xs:enumeration value=""/></xs:restriction></xs:simpleType>
</xs:union></xs:simpleType></xs:attribute>
<xs:attribute name="space"><xs:simpleType><xs:restriction base="xs:NCName">
  <xs:enumeration value="default"/><xs:enumeration value="preserve"/>
</xs:restriction></xs:simpleType></xs:attribute>
<xs:attribute name="base" type="xs:anyURI"/>
<xs:attribute name="id" type="xs:ID"/>
<xs:attributeGroup name="specialAttrs" xmlns:xml="http://www.w3.org/XML/1998/namespace">
  <xs:attribute ref="xml:base"/><xs:attribute ref="xml:lang"/>
  <xs:attribute ref="xml:space"/><xs:attribute ref="xml:id"/>
</xs:attributeGroup>
</xs:schema>
"""

_XLINK: Final = """\
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xlink="http://www.w3.org/1999/xlink"
  targetNamespace="http://www.w3.org/1999/xlink">
<xs:simpleType name="typeType"><xs:restriction base="xs:token">
  <xs:enumeration value="simple"/><xs:enumeration value="extended"/><xs:enumeration value="title"/>
  <xs:enumeration value="resource"/><xs:enumeration value="locator"/><xs:enumeration value="arc"/>
</xs:restriction></xs:simpleType>
<xs:simpleType name="hrefType"><xs:restriction base="xs:anyURI"/></xs:simpleType>
<xs:simpleType name="roleType"><xs:restriction base="xs:anyURI"><xs:minLength value="1"/></xs:restriction>
</xs:simpleType>
<xs:simpleType name="arcroleType"><xs:restriction base="xs:anyURI"><xs:minLength value="1"/></xs:restriction>
</xs:simpleType>
<xs:simpleType name="titleAttrType"><xs:restriction base="xs:string"/></xs:simpleType>
<xs:simpleType name="showType"><xs:restriction base="xs:token">
  <xs:enumeration value="new"/><xs:enumeration value="replace"/><xs:enumeration value="embed"/>
  <xs:enumeration value="other"/><xs:enumeration value="none"/>
</xs:restriction></xs:simpleType>
<xs:simpleType name="actuateType"><xs:restriction base="xs:token">
  <xs:enumeration value="onLoad"/><xs:enumeration value="onRequest"/>
  <xs:enumeration value="other"/><xs:enumeration value="none"/>
</xs:restriction></xs:simpleType>
<xs:simpleType name="labelType"><xs:restriction base="xs:NCName"/></xs:simpleType>
<xs:simpleType name="fromType"><xs:restriction base="xs:NCName"/></xs:simpleType>
<xs:simpleType name="toType"><xs:restriction base="xs:NCName"/></xs:simpleType>
<xs:attribute name="type" type="xlink:typeType"/>
<xs:attribute name="href" type="xlink:hrefType"/>
<xs:attribute name="role" type="xlink:roleType"/>
<xs:attribute name="arcrole" type="xlink:arcroleType"/>
<xs:attribute name="title" type="xlink:titleAttrType"/>
<xs:attribute name="show" type="xlink:showType"/>
<xs:attribute name="actuate" type="xlink:actuateType"/>
<xs:attribute name="label" type="xlink:labelType"/>
<xs:attribute name="from" type="xlink:fromType"/>
<xs:attribute name="to" type="xlink:toType"/>
<xs:attributeGroup name="simpleAttrs">
  <xs:attribute ref="xlink:type" fixed="simple"/><xs:attribute ref="xlink:href"/><xs:attribute ref="xlink:role"/>
  <xs:attribute ref="xlink:arcrole"/><xs:attribute ref="xlink:title"/><xs:attribute ref="xlink:show"/>
  <xs:attribute ref="xlink:actuate"/>
</xs:attributeGroup>
<xs:attributeGroup name="extendedAttrs">
  <xs:attribute ref="xlink:type" fixed="extended" use="required"/>
  <xs:attribute ref="xlink:role"/><xs:attribute ref="xlink:title"/>
</xs:attributeGroup>
<xs:attributeGroup name="locatorAttrs">
  <xs:attribute ref="xlink:type" fixed="locator" use="required"/><xs:attribute ref="xlink:href" use="required"/>
  <xs:attribute ref="xlink:role"/><xs:attribute ref="xlink:title"/><xs:attribute ref="xlink:label"/>
</xs:attributeGroup>
<xs:attributeGroup name="arcAttrs">
  <xs:attribute ref="xlink:type" fixed="arc" use="required"/><xs:attribute ref="xlink:arcrole"/>
  <xs:attribute ref="xlink:title"/><xs:attribute ref="xlink:show"/><xs:attribute ref="xlink:actuate"/>
  <xs:attribute ref="xlink:from"/><xs:attribute ref="xlink:to"/>
</xs:attributeGroup>
<xs:attributeGroup name="resourceAttrs">
  <xs:attribute ref="xlink:type" fixed="resource" use="required"/><xs:attribute ref="xlink:role"/>
  <xs:attribute ref="xlink:title"/><xs:attribute ref="xlink:label"/>
</xs:attributeGroup>
<xs:attributeGroup name="titleAttrs"><xs:attribute ref="xlink:type" fixed="title" use="required"/></xs:attributeGroup>
</xs:schema>
"""

# No document of a group can have these paths.
_XML_PATH: Final = "/.psthreads-built-in/xml.xsd"
_XLINK_PATH: Final = "/.psthreads-built-in/xlink.xsd"

CONTENTS: Final = {_XML_PATH: _XML.encode(), _XLINK_PATH: _XLINK.encode()}
"""The built-in schemas by path."""

_YEARS: Final = ("2001", "2001/03", "2004/10", "2005/08", "2007/08", "2009/01")

ADDRESSES: Final = {
    "http://www.w3.org/XML/1998/namespace": _XML_PATH,
    **{f"{scheme}://www.w3.org/{year}/xml.xsd": _XML_PATH for scheme in ("http", "https") for year in _YEARS},
    "http://www.w3.org/1999/xlink": _XLINK_PATH,
    **{
        f"{scheme}://www.w3.org/{name}.xsd": _XLINK_PATH
        for scheme in ("http", "https")
        for name in ("1999/xlink", "XML/2008/06/xlink")
    },
}
"""The path of a built-in schema by its address, or by its namespace."""
