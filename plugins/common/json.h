/* Reading JSON that a server or a file holds (json-c). */
#ifndef PLUGINS_COMMON_JSON_H
#define PLUGINS_COMMON_JSON_H

#include <json-c/json.h>

/* At most 16 deep; NULL: it is none.  The caller's to json_object_put(). */
struct json_object *json_read(const char *text, size_t len);

/* The string at KEY; "" where there is none, or O is no object, and for text with a NUL inside, which would pass for
 * another. */
const char *json_text_at(struct json_object *o, const char *key);

/* The array at KEY; NULL where there is none. */
struct json_object *json_array_at(struct json_object *o, const char *key);

#endif
