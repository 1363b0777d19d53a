/* How schemas are made: every node of a document lives in its blocks. */
#ifndef HOST_API_SCHEMA_INTERNAL_H
#define HOST_API_SCHEMA_INTERNAL_H

#include "api/schema.h"
#include "base/buf.h"
#include "cel/cel.h"

struct schema_doc {
  struct schema *root;
  VEC(void *) blocks;
  VEC(struct json_object *) documents;
  VEC(struct cel_program *) programs;
};

struct schema_doc *schema_doc_new(void);
void *schema_alloc(struct schema_doc *d, size_t size); /* zeroed; NULL: no memory */
char *schema_strdup(struct schema_doc *d, const char *s);
struct json_object *schema_keep(struct schema_doc *d, struct json_object *o); /* takes O */
/* What stands in anyOf and the like: as schema_from_openapi(), but types may be left out. */
int32_t schema_from_fragment(struct json_object *openapi, struct schema_doc **out, struct ome_err *err);
/* Compiles S->validations; the error names the rule below PATH. */
int32_t schema_compile_rules(struct schema_doc *d, struct schema *s, const char *path, struct ome_err *err);
/* Adds an error for each rule of S that O, or the change from OLD (NULL: none), does not keep. */
void schema_check_rules(const struct schema *s, struct json_object *o, struct json_object *old, const char *path,
                        struct field_errors *out);
void schema_sort(struct schema_property *properties, size_t n);

#endif
