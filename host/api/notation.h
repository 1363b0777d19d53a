/* The .schema notation: types and kinds as indented lines.
 *
 *   type NAME [preserve] [atomic] [like(T)] a type; its fields follow, indented
 *     FIELD[!] TYPE [ATTRIBUTE...] [= JSON] [-- text]
 *     rule EXPRESSION -- why                what holds of each value, in CEL: x-kubernetes-validations of a CRD
 *   kind GROUP/VERSION KIND [PLURAL SCOPE short(..)]   a kind; apiVersion, kind and metadata go without saying
 *     column NAME | TYPE | JSONPATH [| PRIORITY]
 *                                           like: the fields of T are kept and have an effect, too, unchecked
 *   preserve                                all types of this file keep fields that they do not name
 *
 * "!" is required. TYPE is a scalar (string bool int int32 int64 number time microtime bytes quantity intorstr any
 * object), a type's name, [TYPE] or {TYPE}. Attributes: map(keys) set atomic patch patch(key) retain nullable min(n)
 * max(n) enum(a|b) minlen(n) pattern(re); the last five are of what a list or map holds. Names are unique over all
 * texts. Texts are ours and well-formed: a mistake ends the process at first use, which the tests provoke. */
#ifndef HOST_API_NOTATION_H
#define HOST_API_NOTATION_H

#include "api/schema_internal.h"

struct notation;

/* TEXTS are static, NULL-terminated. */
struct notation *notation_new(const char *const *texts);

struct notation_kind {
  const char *group, *version, *kind;
  const char *plural, *scope, *short_names; /* "" where the line ends before them */
  const struct schema *schema;
  const char *columns; /* the first "column" line, or NULL; lines end with a newline */
};

/* Kind GROUP "" is the core group. False: there is none. */
bool notation_find(struct notation *n, const char *group, const char *version, const char *kind,
                   struct notation_kind *out);
/* The I-th kind that has a plural (those of CRDs); false at the end. */
bool notation_crd(struct notation *n, size_t i, struct notation_kind *out);

#endif
