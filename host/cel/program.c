#include "cel/library.h"

#include <stdlib.h>

#define MAX_PROGRAM ((size_t)1 << 20)

const struct function *function_at(size_t i) {
  size_t n, m;
  const struct function *general = library_functions(&n), *text = library_text_functions(&m);

  return i < n ? &general[i] : i < n + m ? &text[i - n] : NULL;
}

static int32_t compile(struct cel_program what, const char *text, enum cel_kind wanted, struct cel_program **out,
                       struct ome_err *err) {
  struct cel_program *p = malloc(sizeof(*p));

  if (!p)
    return fail_memory(err);
  *p = what;
  int32_t rc = cel_parse(p, text, err);
  if (rc == OME_OK)
    rc = cel_check(p, err);
  enum cel_kind kind = rc == OME_OK ? p->root->type.kind : wanted;
  if (kind != wanted && kind != CEL_DYN)
    rc = fail(err, OME_E_INVALID, "must evaluate to a %s, not a %s", kind_name(wanted), kind_name(kind));
  if (rc != OME_OK) {
    cel_program_free(p);
    return rc;
  }
  *out = p;
  return OME_OK;
}

int32_t cel_compile(const char *text, struct cel_type self, const struct cel_schema_ops *ops, enum cel_kind wanted,
                    struct cel_program **out, struct ome_err *err) {
  const struct cel_program what = {.arena.max = MAX_PROGRAM, .self = self, .ops = ops};

  return compile(what, text, wanted, out, err);
}

int32_t cel_compile_scope(const char *text, struct cel_type scope, const struct cel_schema_ops *ops,
                          enum cel_kind wanted, struct cel_program **out, struct ome_err *err) {
  const struct cel_program what = {.arena.max = MAX_PROGRAM, .self = scope, .ops = ops, .scoped = true};

  return compile(what, text, wanted, out, err);
}

void cel_program_free(struct cel_program *p) {
  if (!p)
    return;
  arena_fini(&p->arena);
  free(p);
}

bool cel_uses_old(const struct cel_program *p) {
  return p->uses_old;
}
