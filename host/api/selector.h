/* Label and field selectors (Kubernetes API conventions): parsed once, matched often.  Pure. */
#ifndef HOST_API_SELECTOR_H
#define HOST_API_SELECTOR_H

#include "base/json.h"

struct selector;

/* "a=b,c!=d,e in (f,g),h notin (i),j,!k"; "" and NULL match everything. */
int32_t selector_parse(const char *text, struct selector **out, struct ome_err *err);
/* metav1.LabelSelector: matchLabels and matchExpressions; NULL matches nothing, {} everything. */
int32_t selector_from_object(struct json_object *o, struct selector **out, struct ome_err *err);
/* A plain map of labels (Service.spec.selector): all must be equal; NULL or empty matches nothing. */
int32_t selector_from_map(struct json_object *o, struct selector **out, struct ome_err *err);
void selector_free(struct selector *s);
DEFINE_CLEANUP(struct selector *, selector_free)

/* LABELS is a string map, may be NULL. */
bool selector_match(const struct selector *s, struct json_object *labels);

/* The parts, for index use and for error messages on unsupported fields. */
enum selector_op {
  SELECTOR_EQ,
  SELECTOR_NE,
  SELECTOR_IN,
  SELECTOR_NOT_IN,
  SELECTOR_EXISTS,
  SELECTOR_NOT_EXISTS,
  SELECTOR_GT,
  SELECTOR_LT
};
struct selector_term {
  const char *key;
  enum selector_op op;
  const char *const *values; /* NULL-terminated */
};
size_t selector_terms(const struct selector *s, const struct selector_term **out);

/* "a=b", "a==b", "a!=b" joined by commas: field selectors; each KEY is a path into the object. */
int32_t field_selector_parse(const char *text, struct selector **out, struct ome_err *err);
bool field_selector_match(const struct selector *s, struct json_object *obj);

/* v1.NodeSelectorTerm list (nodeAffinity required): OR of terms, AND of expressions, metadata.name in matchFields;
 * an empty term matches nothing. */
bool node_selector_match(struct json_object *node_selector, struct json_object *node);

#endif
