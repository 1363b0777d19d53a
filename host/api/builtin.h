/* What the API server knows of the built-in kinds beyond their schemas: conditional defaults, and rules across fields.
 * Pure. */
#ifndef HOST_API_BUILTIN_H
#define HOST_API_BUILTIN_H

#include "api/schema.h"

/* Fills in what depends on other fields.  OLD is NULL on create. */
void api_default(const char *group, const char *kind, struct json_object *o, struct json_object *old);
/* Rules of KIND that its schema cannot say: immutable fields, selectors that must match, unique ports. */
void api_validate(const char *group, const char *kind, struct json_object *o, struct json_object *old,
                  struct field_errors *out);
/* A matchCondition of a webhook: an expression over object, oldObject and request, evaluated with an object of these
 * three as self. */
struct cel_program;
int32_t api_compile_match_condition(const char *text, struct cel_program **out, struct ome_err *err);
/* Rules of every object's metadata: labels, annotations, finalizers, owner references. */
void api_validate_meta(struct json_object *o, struct json_object *old, struct field_errors *out);

#endif
