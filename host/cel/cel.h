/* The Common Expression Language, as x-kubernetes-validations has it: cel-spec's langdef (syntax, macros, standard
 * library), and Kubernetes' own string, list and regular expression functions.
 *
 * An expression is compiled against the type of `self`, then evaluated any number of times.  Time and memory of an
 * evaluation are bounded.  Not there: messages of protocol buffers, optional types, url, ip, cidr and quantity. */
#ifndef HOST_CEL_CEL_H
#define HOST_CEL_CEL_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>

enum cel_kind {
  CEL_DYN, /* only known when it is evaluated */
  CEL_NULL,
  CEL_BOOL,
  CEL_INT,
  CEL_UINT,
  CEL_DOUBLE,
  CEL_STRING,
  CEL_BYTES,
  CEL_LIST,
  CEL_MAP,    /* keys are strings where a schema speaks */
  CEL_OBJECT, /* a map whose fields are known */
  CEL_DURATION,
  CEL_TIMESTAMP,
  CEL_TYPE,
  CEL_ERROR
};

/* The type of an expression.  What lists, maps and objects hold is said by ELEM, or by SCHEMA through struct
 * cel_schema_ops; neither: anything. */
struct cel_type {
  enum cel_kind kind;
  const struct cel_type *elem;
  const void *schema;
};

struct cel_schema_ops {
  /* The field NAME of an object; false: there is none. */
  bool (*field)(const void *schema, const char *name, struct cel_type *out);
  /* The items of a list, the values of a map. */
  struct cel_type (*elem)(const void *schema);
};

struct cel_program;

/* WANTED is the kind that the expression has to have.  OME_E_INVALID says what is wrong and at which character. */
int32_t cel_compile(const char *text, struct cel_type self, const struct cel_schema_ops *ops, enum cel_kind wanted,
                    struct cel_program **out, struct ome_err *err);
/* The same for an expression that has no `self`: its names are the fields of SCOPE, a CEL_OBJECT.  Evaluated with an
 * object of these fields as SELF. */
int32_t cel_compile_scope(const char *text, struct cel_type scope, const struct cel_schema_ops *ops,
                          enum cel_kind wanted, struct cel_program **out, struct ome_err *err);
void cel_program_free(struct cel_program *p);
DEFINE_CLEANUP(struct cel_program *, cel_program_free)

/* Whether it speaks of oldSelf: such a rule is about changes. */
bool cel_uses_old(const struct cel_program *p);

/* Evaluates a program of CEL_BOOL or CEL_STRING; OLD may be NULL.  *TRUTH or *TEXT (new; the other NULL) is the result.
 * OME_E_INVALID: there is none (a missing key, a division by zero, too much work), and why. [any-thread] */
int32_t cel_eval_bool(const struct cel_program *p, struct json_object *self, struct json_object *old, bool *truth,
                      struct ome_err *err);
int32_t cel_eval_text(const struct cel_program *p, struct json_object *self, struct json_object *old, char **text,
                      struct ome_err *err);

#endif
