/* Evaluation: the tree walked once, errors as values, so that || and && can do without one side (cel-spec langdef,
 * Logical Operators and Runtime Errors). */
#include "cel/internal.h"

#include "base/str.h"

#include <string.h>

#define MAX_STEPS 1000000u
#define MAX_MEMORY ((size_t)4 << 20)

struct frame {
  struct eval *e;
  struct cel_value variables[MAX_VARIABLES];
};

static struct cel_value eval(struct frame *f, const struct node *n);

bool eval_step(struct eval *e, size_t n) {
  if (n > e->steps) {
    e->steps = 0;
    return false;
  }
  e->steps -= (uint32_t)n;
  return true;
}

static struct cel_value too_much(struct eval *e) {
  return value_error(e, "the expression does too much work");
}

/* ---- fields and calls -------------------------------------------------------------------------------------------- */

static struct cel_value eval_select(struct frame *f, const struct node *n) {
  struct cel_value map = eval(f, n->args[0]), out;
  const struct cel_value key = value_text(CEL_STRING, n->name, strlen(n->name));

  if (map.kind == CEL_ERROR)
    return map;
  if (map.kind != CEL_MAP)
    return value_error(f->e, "no such field '%s' of a %s", n->name, kind_name(map.kind));
  bool found = value_get(f->e, &map, &key, &out);
  if (n->test)
    return value_bool(found);
  return found ? out : value_error(f->e, "no such key: %s", n->name);
}

static bool takes(const struct function *fn, const struct node *n, const struct cel_value *args) {
  if (fn->receiver != n->receiver || !streq(fn->name, n->name) || strlen(fn->signature) != n->nargs + 2u)
    return false;
  for (uint32_t i = 0; i < n->nargs; i++)
    if (!kind_fits(fn->signature[i], args[i].kind))
      return false;
  return true;
}

static struct cel_value eval_call(struct frame *f, const struct node *n) {
  struct cel_value args[MAX_ARGS];

  for (uint32_t i = 0; i < n->nargs; i++) {
    args[i] = eval(f, n->args[i]);
    if (args[i].kind == CEL_ERROR)
      return args[i];
  }
  const struct function *fn;
  for (size_t i = 0; (fn = function_at(i)); i++)
    if (takes(fn, n, args))
      return fn->call(f->e, args);
  return value_error(f->e, "no such overload: %s(%s%s%s)", n->name, n->nargs ? kind_name(args[0].kind) : "",
                     n->nargs > 1 ? ", " : "", n->nargs > 1 ? kind_name(args[1].kind) : "");
}

/* ---- logic ------------------------------------------------------------------------------------------------------- */

/* DECIDES is what one side may say alone: true for ||, false for &&. */
static struct cel_value eval_logic(struct frame *f, const struct node *n, bool decides) {
  struct cel_value a = eval(f, n->args[0]);

  if (a.kind == CEL_BOOL && a.truth == decides)
    return a;
  struct cel_value b = eval(f, n->args[1]);
  if (b.kind == CEL_BOOL && b.truth == decides)
    return b;
  if (a.kind == CEL_ERROR)
    return a;
  if (b.kind == CEL_ERROR)
    return b;
  if (a.kind != CEL_BOOL || b.kind != CEL_BOOL)
    return value_error(f->e, "no such overload: %s of a %s and a %s", decides ? "||" : "&&", kind_name(a.kind),
                       kind_name(b.kind));
  return value_bool(!decides);
}

static struct cel_value eval_cond(struct frame *f, const struct node *n) {
  struct cel_value c = eval(f, n->args[0]);

  if (c.kind == CEL_ERROR)
    return c;
  if (c.kind != CEL_BOOL)
    return value_error(f->e, "the condition of ?: is a %s", kind_name(c.kind));
  return eval(f, n->args[c.truth ? 1 : 2]);
}

/* ---- lists and maps ---------------------------------------------------------------------------------------------- */

static struct cel_value eval_list(struct frame *f, const struct node *n) {
  struct cel_value *items = arena_new(&f->e->arena, (n->nargs + 1) * sizeof(*items));

  if (!items)
    return too_much(f->e);
  for (uint32_t i = 0; i < n->nargs; i++) {
    items[i] = eval(f, n->args[i]);
    if (items[i].kind == CEL_ERROR)
      return items[i];
  }
  return (struct cel_value){.kind = CEL_LIST, .seq = {.items = items, .n = n->nargs}};
}

static struct cel_value eval_map(struct frame *f, const struct node *n) {
  size_t pairs = n->nargs / 2;
  struct cel_value *all = arena_new(&f->e->arena, (2 * pairs + 1) * sizeof(*all));

  if (!all)
    return too_much(f->e);
  for (size_t i = 0; i < pairs; i++) {
    struct cel_value *key = &all[i], *value = &all[pairs + i];
    *key = eval(f, n->args[2 * i]);
    *value = eval(f, n->args[2 * i + 1]);
    if (key->kind == CEL_ERROR || value->kind == CEL_ERROR)
      return key->kind == CEL_ERROR ? *key : *value;
    for (size_t k = 0; k < i; k++)
      if (!eval_step(f->e, 1) || value_equal(f->e, &all[k], key))
        return value_error(f->e, "a map has a key twice");
  }
  return (struct cel_value){.kind = CEL_MAP, .seq = {.keys = all, .items = all + pairs, .n = pairs}};
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

struct outcome {
  struct cel_value *kept; /* of map and filter */
  size_t n;
  size_t yes;
  struct cel_value error; /* the first; kind CEL_NULL: none */
};

/* One round; true: the answer is known. */
static bool round_ends(struct frame *f, const struct node *n, struct outcome *o) {
  struct cel_value item = f->variables[n->variable];
  struct cel_value v = eval(f, n->args[1]);

  if (n->loop == LOOP_MAP && n->nargs == 2) {
    o->kept[o->n++] = v;
    return v.kind == CEL_ERROR;
  }
  if (v.kind != CEL_BOOL) {
    if (v.kind != CEL_ERROR)
      v = value_error(f->e, "the condition of a loop is a %s", kind_name(v.kind));
    if (o->error.kind == CEL_NULL)
      o->error = v;
    return n->loop != LOOP_ALL && n->loop != LOOP_EXISTS;
  }
  o->yes += v.truth;
  if (v.truth && (n->loop == LOOP_FILTER || n->loop == LOOP_MAP)) {
    o->kept[o->n] = n->loop == LOOP_FILTER ? item : eval(f, n->args[2]);
    return o->kept[o->n++].kind == CEL_ERROR;
  }
  return (n->loop == LOOP_ALL && !v.truth) || (n->loop == LOOP_EXISTS && v.truth);
}

/* What the rounds amount to; a false in all() and a true in exists() have ended them. */
static struct cel_value conclude(const struct node *n, const struct outcome *o, bool ended) {
  bool failed = o->error.kind == CEL_ERROR;

  if (n->loop == LOOP_ALL && (ended || !failed))
    return value_bool(!ended);
  if (n->loop == LOOP_EXISTS)
    return o->yes ? value_bool(true) : failed ? o->error : value_bool(false);
  if (failed)
    return o->error;
  if (n->loop == LOOP_EXISTS_ONE)
    return value_bool(o->yes == 1);
  if (o->n && o->kept[o->n - 1].kind == CEL_ERROR)
    return o->kept[o->n - 1];
  return (struct cel_value){.kind = CEL_LIST, .seq = {.items = o->kept, .n = o->n}};
}

static struct cel_value eval_loop(struct frame *f, const struct node *n) {
  struct cel_value range = eval(f, n->args[0]);
  struct outcome o = {.error = {.kind = CEL_NULL}};

  if (range.kind == CEL_ERROR)
    return range;
  if (range.kind != CEL_LIST && range.kind != CEL_MAP)
    return value_error(f->e, "a loop over a %s", kind_name(range.kind));
  const struct cel_value *keys = range.kind == CEL_MAP ? value_keys(f->e, &range) : NULL;
  o.kept = arena_new(&f->e->arena, (value_size(&range) + 1) * sizeof(*o.kept));
  if (!o.kept || (range.kind == CEL_MAP && !keys))
    return too_much(f->e);
  bool ended = false;
  for (size_t i = 0; i < value_size(&range) && !ended; i++) {
    if (!eval_step(f->e, 1))
      return too_much(f->e);
    f->variables[n->variable] = range.kind == CEL_LIST ? value_at(f->e, &range, i) : keys[i];
    ended = round_ends(f, n, &o);
  }
  return conclude(n, &o, ended);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static struct cel_value eval(struct frame *f, const struct node *n) {
  if (!eval_step(f->e, 1) || f->e->arena.failed)
    return too_much(f->e);
  switch (n->kind) {
  case NODE_LITERAL:
    return n->value;
  case NODE_VARIABLE:
    return f->variables[n->variable];
  case NODE_SELECT:
    return eval_select(f, n);
  case NODE_CALL:
    return eval_call(f, n);
  case NODE_AND:
    return eval_logic(f, n, false);
  case NODE_OR:
    return eval_logic(f, n, true);
  case NODE_COND:
    return eval_cond(f, n);
  case NODE_LIST:
    return eval_list(f, n);
  case NODE_MAP:
    return eval_map(f, n);
  case NODE_LOOP:
    return eval_loop(f, n);
  }
  return value_error(f->e, "an unknown node");
}

static int32_t run(const struct cel_program *p, struct eval *e, struct json_object *self, struct json_object *old,
                   enum cel_kind wanted, struct cel_value *out, struct ome_err *err) {
  struct frame f = {.e = e};

  *e = (struct eval){.arena = {.max = MAX_MEMORY}, .ops = p->ops, .steps = MAX_STEPS};
  f.variables[VARIABLE_SELF] = value_of_json(e, self, &p->self);
  f.variables[VARIABLE_OLD] = value_of_json(e, old, &p->self);
  *out = eval(&f, p->root);
  if (out->kind == CEL_ERROR)
    return fail(err, OME_E_INVALID, "%.*s", (int)out->text.len, out->text.ptr);
  if (out->kind != wanted)
    return fail(err, OME_E_INVALID, "the result is a %s", kind_name(out->kind));
  return OME_OK;
}

int32_t cel_eval_bool(const struct cel_program *p, struct json_object *self, struct json_object *old, bool *truth,
                      struct ome_err *err) {
  struct cel_value v;
  struct eval e;
  int32_t rc = run(p, &e, self, old, CEL_BOOL, &v, err);

  *truth = rc == OME_OK && v.truth;
  arena_fini(&e.arena);
  return rc;
}

int32_t cel_eval_text(const struct cel_program *p, struct json_object *self, struct json_object *old, char **text,
                      struct ome_err *err) {
  struct cel_value v;
  struct eval e;
  int32_t rc = run(p, &e, self, old, CEL_STRING, &v, err);

  *text = rc == OME_OK ? str_copy(v.text.ptr, v.text.len) : NULL;
  arena_fini(&e.arena);
  return rc == OME_OK && !*text ? fail_memory(err) : rc;
}
