<?xml version="1.0" encoding="UTF-8"?>
<!-- Lists the actions of some minutes as plain text, the earliest first. -->
<xsl:transform version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text" encoding="UTF-8"/>
  <xsl:strip-space elements="*"/>
  <xsl:param name="who"/>

  <xsl:template match="/minutes">
    <xsl:value-of select="title"/>
    <xsl:text>&#10;</xsl:text>
    <xsl:for-each select="item/action[$who = '' or @who = $who]">
      <xsl:sort select="not(@due)"/>
      <xsl:sort select="@due"/>
      <xsl:choose>
        <xsl:when test="@due"><xsl:value-of select="@due"/></xsl:when>
        <xsl:otherwise>no date   </xsl:otherwise>
      </xsl:choose>
      <xsl:text>  </xsl:text>
      <xsl:value-of select="@who"/>
      <xsl:text>: </xsl:text>
      <xsl:value-of select="normalize-space(.)"/>
      <xsl:text>&#10;</xsl:text>
    </xsl:for-each>
  </xsl:template>
</xsl:transform>
