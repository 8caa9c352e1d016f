import java.io.File;
import java.io.PrintStream;
import javax.xml.XMLConstants;
import javax.xml.parsers.SAXParser;
import javax.xml.parsers.SAXParserFactory;
import javax.xml.transform.stream.StreamSource;
import javax.xml.validation.Schema;
import javax.xml.validation.SchemaFactory;
import org.xml.sax.ErrorHandler;
import org.xml.sax.SAXException;
import org.xml.sax.SAXParseException;
import org.xml.sax.helpers.DefaultHandler;

/** Validates documents by Xerces, which the JDK contains: SCHEMA, or "" for their DTD, then DOCUMENT... */
class Validate {
    static class Strict extends DefaultHandler implements ErrorHandler {
        @Override public void error(SAXParseException e) throws SAXException { throw e; }
        @Override public void warning(SAXParseException e) { }
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        Schema schema = null;
        if (!arguments[0].isEmpty()) {
            SchemaFactory schemas = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI);
            schemas.setErrorHandler(new Strict());
            try {
                schema = schemas.newSchema(new StreamSource(new File(arguments[0])));
            } catch (SAXException e) {
                out.println("unusable");
                return;
            }
        }
        for (int i = 1; i < arguments.length; i++) {
            String answer = "valid";
            try {
                SAXParserFactory parsers = SAXParserFactory.newInstance();
                parsers.setNamespaceAware(true);
                parsers.setValidating(schema == null);
                parsers.setSchema(schema);
                SAXParser parser = parsers.newSAXParser();
                parser.parse(new File(arguments[i]), new Strict());
            } catch (SAXException e) {
                String message = String.valueOf(e.getMessage());
                answer = message.contains("accessExternal") || message.contains("JAXP") ? "unknown" : "invalid";
            } catch (Exception e) {
                answer = "unknown";
            }
            out.println(answer);
        }
    }
}
