/* Answers of storage services that are XML, read as they come: expat, with bounds. */
#ifndef PLUGINS_COMMON_XML_H
#define PLUGINS_COMMON_XML_H

#include <ome/abi.h>

#include <stddef.h>

#define XML_MAX_DEPTH 12
#define XML_MAX_PATH 512
#define XML_MAX_TEXT ((size_t)16 << 10) /* of one element */

/* Called at the end of each element, innermost first: PATH is "ListBucketResult/Contents/Key", without namespace
 * prefixes; TEXT is what stands in it outside of inner elements, borrowed.  Anything but OME_OK ends the reading. */
typedef int32_t xml_end_fn(void *arg, const char *path, const char *text);

/* Reads a document of LEN bytes.  OME_E_INVALID: it is not well-formed, exceeds the bounds above or brings a DTD, which
 * no service needs and which could grow without bound; otherwise END's own answer. */
int32_t xml_read(const char *data, size_t len, xml_end_fn *end, void *arg);

/* The text of the first element at PATH ("Error/Code") of a document, which may be NULL; 0, or -1: absent, too long, no
 * XML. */
int xml_text(const char *data, size_t len, const char *path, char *out, size_t size);

#endif
