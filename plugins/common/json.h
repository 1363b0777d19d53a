/* Reading JSON that a server or a file holds (json-c). */
#ifndef PLUGINS_COMMON_JSON_H
#define PLUGINS_COMMON_JSON_H

#include <json-c/json.h>
#include <stdint.h>

/* At most 32 deep; NULL: it is none.  The caller's to json_object_put(). */
struct json_object *json_read(const char *text, size_t len);

/* Calls FN with each element of the array that TEXT is, until it returns other than 0, which is returned.  One is in
 * memory at a time: the elements of a long list as objects would take many times its text.  JSON_NO_ARRAY: TEXT is
 * none, or from some element on. */
#define JSON_NO_ARRAY 1
int32_t json_each(const char *text, size_t len, int32_t (*fn)(void *arg, struct json_object *element), void *arg);

/* The string at KEY; "" where there is none, or O is no object, and for text with a NUL inside, which would pass for
 * another. */
const char *json_text_at(struct json_object *o, const char *key);

/* The array at KEY; NULL where there is none. */
struct json_object *json_array_at(struct json_object *o, const char *key);

#endif
