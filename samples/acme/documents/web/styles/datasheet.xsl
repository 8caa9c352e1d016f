<?xml version="1.0" encoding="UTF-8"?>
<!-- Turns a data sheet into a page for the web site. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="html" encoding="UTF-8" indent="yes"/>

  <xsl:template match="/datasheet">
    <html lang="{@xml:lang}">
      <head><title><xsl:value-of select="name"/></title></head>
      <body class="{@family} {@status}">
        <h1><xsl:value-of select="name"/></h1>
        <p class="summary"><xsl:value-of select="summary"/></p>
        <xsl:apply-templates select="description/para"/>
        <table>
          <xsl:apply-templates select="ratings/rating"/>
        </table>
        <xsl:apply-templates select="notes/para"/>
      </body>
    </html>
  </xsl:template>

  <xsl:template match="para"><p><xsl:apply-templates/></p></xsl:template>
  <xsl:template match="warn"><strong><xsl:apply-templates/></strong></xsl:template>
  <xsl:template match="see"><a href="{@code}.html"><xsl:apply-templates/></a></xsl:template>

  <xsl:template match="rating">
    <tr>
      <th><xsl:value-of select="@name"/></th>
      <td><xsl:value-of select="concat(., ' ', @unit)"/></td>
    </tr>
  </xsl:template>
</xsl:stylesheet>
