/* Types of all nodes, from that of `self` up: what cannot be right is said before anything is evaluated. */
#include "cel/internal.h"

#include "base/str.h"

#include <string.h>

struct checker {
  struct cel_program *p;
  struct cel_type variables[MAX_VARIABLES];
  struct ome_err *err;
};

static int32_t check(struct checker *c, struct node *n);

static const struct cel_type dyn = {.kind = CEL_DYN};

static int32_t mismatch(struct checker *c, const struct node *n, const char *what, enum cel_kind found) {
  return fail(c->err, OME_E_INVALID, "character %u: %s, not %s", n->at + 1, what, kind_name(found));
}

static bool is_bool(const struct node *n) {
  return n->type.kind == CEL_BOOL || n->type.kind == CEL_DYN;
}

/* What a list or map holds. */
static struct cel_type elem_of(const struct checker *c, const struct cel_type *t) {
  if (t->elem)
    return *t->elem;
  if (t->schema && t->kind != CEL_OBJECT)
    return c->p->ops->elem(t->schema);
  return dyn;
}

static int32_t list_of(struct checker *c, struct cel_type elem, struct cel_type *out) {
  struct cel_type *kept = arena_new(&c->p->arena, sizeof(*kept));

  if (!kept)
    return fail_memory(c->err);
  *kept = elem;
  *out = (struct cel_type){.kind = CEL_LIST, .elem = kept};
  return OME_OK;
}

/* Whether values of both can be equal. */
static bool comparable(enum cel_kind a, enum cel_kind b) {
  bool a_map = a == CEL_MAP || a == CEL_OBJECT, b_map = b == CEL_MAP || b == CEL_OBJECT;

  return a == b || a == CEL_DYN || b == CEL_DYN || a == CEL_NULL || b == CEL_NULL || (a_map && b_map);
}

/* ---- by node ----------------------------------------------------------------------------------------------------- */

static int32_t check_select(struct checker *c, struct node *n) {
  const struct cel_type *of = &n->args[0]->type;

  n->type = dyn;
  if (of->kind == CEL_MAP)
    n->type = elem_of(c, of);
  else if (of->kind == CEL_OBJECT && !c->p->ops->field(of->schema, n->name, &n->type))
    return fail(c->err, OME_E_INVALID, "character %u: undefined field '%s'", n->at + 1, n->name);
  else if (of->kind != CEL_OBJECT && of->kind != CEL_DYN)
    return mismatch(c, n, "fields are of objects and maps", of->kind);
  if (n->test)
    n->type = (struct cel_type){.kind = CEL_BOOL};
  return OME_OK;
}

static bool fits(const struct function *f, const struct node *n) {
  if (f->receiver != n->receiver || !streq(f->name, n->name) || strlen(f->signature) != n->nargs + 2u)
    return false;
  for (uint32_t i = 0; i < n->nargs; i++)
    if (!kind_fits(f->signature[i], n->args[i]->type.kind))
      return false;
  return true;
}

/* What the signature does not say of a result. */
static int32_t refine(struct checker *c, struct node *n) {
  const struct cel_type *a = n->nargs ? &n->args[0]->type : &dyn;

  if (streq(n->name, "[]"))
    n->type = a->kind == CEL_LIST || a->kind == CEL_MAP ? elem_of(c, a) : dyn;
  else if (streq(n->name, "+") && n->type.kind == CEL_LIST)
    n->type = *a;
  else if (streq(n->name, "split") || streq(n->name, "findAll"))
    return list_of(c, (struct cel_type){.kind = CEL_STRING}, &n->type);
  return OME_OK;
}

static int32_t check_call(struct checker *c, struct node *n) {
  bool known = false;
  size_t found = 0;

  if (n->nargs > MAX_ARGS)
    return fail(c->err, OME_E_INVALID, "character %u: too many arguments of '%s'", n->at + 1, n->name);
  const struct function *fn;
  for (size_t i = 0; (fn = function_at(i)); i++) {
    known = known || streq(fn->name, n->name);
    if (!fits(fn, n))
      continue;
    enum cel_kind kind = kind_of_letter(fn->signature[n->nargs + 1]);
    n->type = found++ && n->type.kind != kind ? dyn : (struct cel_type){.kind = kind};
  }
  if (!known)
    return fail(c->err, OME_E_INVALID, "character %u: undeclared reference to '%s'", n->at + 1, n->name);
  if (!found)
    return fail(c->err, OME_E_INVALID, "character %u: no matching overload for '%s' applied to (%s%s%s)", n->at + 1,
                n->name, n->nargs ? kind_name(n->args[0]->type.kind) : "", n->nargs > 1 ? ", " : "",
                n->nargs > 1 ? kind_name(n->args[1]->type.kind) : "");
  if ((streq(n->name, "==") || streq(n->name, "!=")) && !comparable(n->args[0]->type.kind, n->args[1]->type.kind))
    return fail(c->err, OME_E_INVALID, "character %u: no matching overload for '%s' applied to (%s, %s)", n->at + 1,
                n->name, kind_name(n->args[0]->type.kind), kind_name(n->args[1]->type.kind));
  return refine(c, n);
}

static int32_t check_loop(struct checker *c, struct node *n) {
  int32_t rc = check(c, n->args[0]);
  const struct cel_type *range = &n->args[0]->type;

  if (rc != OME_OK)
    return rc;
  if (range->kind == CEL_LIST)
    c->variables[n->variable] = elem_of(c, range);
  else if (range->kind == CEL_MAP || range->kind == CEL_OBJECT)
    c->variables[n->variable] = (struct cel_type){.kind = CEL_STRING};
  else if (range->kind == CEL_DYN)
    c->variables[n->variable] = dyn;
  else
    return mismatch(c, n, "loops go over lists and maps", range->kind);
  for (uint32_t i = 1; i < n->nargs; i++)
    if ((rc = check(c, n->args[i])) != OME_OK)
      return rc;
  bool condition = n->loop != LOOP_MAP || n->nargs == 3;
  if (condition && !is_bool(n->args[1]))
    return mismatch(c, n->args[1], "the condition of a loop is a bool", n->args[1]->type.kind);
  if (n->loop == LOOP_FILTER)
    return list_of(c, c->variables[n->variable], &n->type);
  if (n->loop == LOOP_MAP)
    return list_of(c, n->args[n->nargs - 1]->type, &n->type);
  n->type = (struct cel_type){.kind = CEL_BOOL};
  return OME_OK;
}

static int32_t check_cond(struct checker *c, struct node *n) {
  const struct cel_type *yes = &n->args[1]->type, *no = &n->args[2]->type;

  if (!is_bool(n->args[0]))
    return mismatch(c, n, "the condition of ?: is a bool", n->args[0]->type.kind);
  if (yes->kind != no->kind && yes->kind != CEL_DYN && no->kind != CEL_DYN)
    return fail(c->err, OME_E_INVALID, "character %u: both sides of ?: need one type, not %s and %s", n->at + 1,
                kind_name(yes->kind), kind_name(no->kind));
  n->type = yes->kind == no->kind ? *yes : dyn;
  return OME_OK;
}

static int32_t check_list(struct checker *c, struct node *n) {
  struct cel_type elem = n->nargs ? n->args[0]->type : dyn;

  for (uint32_t i = 1; i < n->nargs; i++)
    if (n->args[i]->type.kind != elem.kind)
      elem = dyn;
  return list_of(c, elem, &n->type);
}

static int32_t check(struct checker *c, struct node *n) {
  for (uint32_t i = 0; n->kind != NODE_LOOP && i < n->nargs; i++) {
    int32_t rc = check(c, n->args[i]);
    if (rc != OME_OK)
      return rc;
  }
  switch (n->kind) {
  case NODE_LITERAL:
    n->type = (struct cel_type){.kind = n->value.kind};
    return OME_OK;
  case NODE_VARIABLE:
    n->type = c->variables[n->variable];
    return OME_OK;
  case NODE_SELECT:
    return check_select(c, n);
  case NODE_CALL:
    return check_call(c, n);
  case NODE_AND:
  case NODE_OR:
    for (uint32_t i = 0; i < 2; i++)
      if (!is_bool(n->args[i]))
        return mismatch(c, n->args[i], n->kind == NODE_AND ? "&& is of bools" : "|| is of bools",
                        n->args[i]->type.kind);
    n->type = (struct cel_type){.kind = CEL_BOOL};
    return OME_OK;
  case NODE_COND:
    return check_cond(c, n);
  case NODE_LIST:
    return check_list(c, n);
  case NODE_MAP:
    n->type = (struct cel_type){.kind = CEL_MAP};
    return OME_OK;
  case NODE_LOOP:
    return check_loop(c, n);
  }
  return OME_OK;
}

int32_t cel_check(struct cel_program *p, struct ome_err *err) {
  struct checker c = {.p = p, .err = err, .variables = {[VARIABLE_SELF] = p->self, [VARIABLE_OLD] = p->self}};

  return check(&c, p->root);
}
