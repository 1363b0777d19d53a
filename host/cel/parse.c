/* Text to tree by recursive descent (cel-spec langdef, Syntax and Macros). */
#include "cel/lex.h"

#include "base/str.h"
#include "base/vec.h"

#include <string.h>

#define MAX_DEPTH 64
#define MAX_TEXT ((size_t)64 << 10)

struct parser {
  struct cel_program *p;
  struct lexer lexer;
  struct ome_err *err;
  const char *scope[MAX_VARIABLES]; /* of loops, the innermost last */
  uint32_t nscope;
  int depth;
};

static struct node *parse_expression(struct parser *s);

static struct node *syntax(struct parser *s, const char *what) {
  (void)lex_fail(&s->lexer, s->err, what);
  return NULL;
}

static struct node *no_memory(struct parser *s) {
  (void)fail_memory(s->err);
  return NULL;
}

static bool next(struct parser *s) {
  return lex_next(&s->lexer, s->err) == OME_OK;
}

/* Passes over TEXT when it is there; *OK false: the token behind it is none. */
static bool took(struct parser *s, const char *text, bool *ok) {
  if (!*ok || !lex_is(&s->lexer, text))
    return false;
  *ok = next(s);
  return true;
}

static bool expect(struct parser *s, const char *text) {
  bool ok = true;

  if (took(s, text, &ok))
    return ok;
  if (ok)
    (void)fail(s->err, OME_E_INVALID, "syntax error at character %zu: \"%s\" is missing",
               (size_t)(s->lexer.now.ptr - s->lexer.text) + 1, text);
  return false;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static struct node *new_node(struct parser *s, enum node_kind kind, const char *at) {
  struct node *n = arena_new(&s->p->arena, sizeof(*n));

  if (!n)
    return no_memory(s);
  n->kind = kind;
  n->at = (uint32_t)(at - s->lexer.text);
  return n;
}

static bool add_arg(struct parser *s, struct node *n, struct node *arg) {
  struct node **grown = arg ? arena_new(&s->p->arena, (n->nargs + 1) * sizeof(*grown)) : NULL;

  if (arg && !grown)
    (void)no_memory(s);
  if (!grown)
    return false;
  if (n->nargs)
    memcpy(grown, n->args, n->nargs * sizeof(*grown));
  grown[n->nargs++] = arg;
  n->args = grown;
  return true;
}

static struct node *new_call(struct parser *s, const char *name, const char *at, struct node *a, struct node *b) {
  struct node *n = new_node(s, NODE_CALL, at);

  if (!n)
    return NULL;
  n->name = name;
  return add_arg(s, n, a) && (!b || add_arg(s, n, b)) ? n : NULL;
}

static char *take_name(struct parser *s) {
  return arena_copy(&s->p->arena, s->lexer.now.ptr, s->lexer.now.len);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Kubernetes writes property names that are no identifiers with these in their place. */
static const struct {
  const char *written, *meant;
} escapes[] = {{"__underscores__", "__"}, {"__dot__", "."}, {"__dash__", "-"}, {"__slash__", "/"}};

static const char *const reserved[] = {"true",     "false",   "null",      "in",       "as",  "break",  "const",
                                       "continue", "else",    "for",       "function", "if",  "import", "let",
                                       "loop",     "package", "namespace", "return",   "var", "void",   "while"};

static char *field_name(struct parser *s) {
  char *name = take_name(s);
  size_t n = 0;

  if (!name)
    return NULL;
  size_t len = strlen(name);
  for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
    if (len == strlen(reserved[i]) + 4 && has_prefix(name, "__") && has_suffix(name, "__") &&
        strncmp(name + 2, reserved[i], len - 4) == 0)
      return arena_copy(&s->p->arena, name + 2, len - 4);
  for (const char *p = name; *p;) {
    size_t i = 0;
    while (i < ARRAY_LEN(escapes) && !has_prefix(p, escapes[i].written))
      i++;
    if (i == ARRAY_LEN(escapes)) {
      name[n++] = *p++;
      continue;
    }
    memcpy(name + n, escapes[i].meant, strlen(escapes[i].meant));
    n += strlen(escapes[i].meant);
    p += strlen(escapes[i].written);
  }
  name[n] = '\0';
  return name;
}

/* NAME as a field of self. */
static struct node *scope_field(struct parser *s, const char *name, const char *at) {
  struct node *n = new_node(s, NODE_SELECT, at);
  struct node *self = new_node(s, NODE_VARIABLE, at);
  if (!n || !self || !add_arg(s, n, self))
    return no_memory(s);
  self->name = "self";
  self->variable = VARIABLE_SELF;
  n->name = name;
  return n;
}

static struct node *variable(struct parser *s, const char *name, const char *at) {
  static const char *const types[] = {"bool",  "int",  "uint", "double",    "string",
                                      "bytes", "list", "map",  "null_type", "type"};
  struct node *n = new_node(s, NODE_VARIABLE, at);

  if (!n)
    return NULL;
  n->name = name;
  for (uint32_t i = s->nscope; i-- > 0;)
    if (streq(s->scope[i], name)) {
      n->variable = VARIABLE_LOCAL + i;
      return n;
    }
  struct cel_type type;
  if (s->p->scoped && s->p->ops->field(s->p->self.schema, name, &type))
    return scope_field(s, name, at);
  if (!s->p->scoped && (streq(name, "self") || streq(name, "oldSelf"))) {
    n->variable = *name == 's' ? VARIABLE_SELF : VARIABLE_OLD;
    s->p->uses_old = s->p->uses_old || n->variable == VARIABLE_OLD;
    return n;
  }
  for (size_t i = 0; i < ARRAY_LEN(types); i++)
    if (streq(types[i], name)) {
      n->kind = NODE_LITERAL;
      n->value = value_text(CEL_TYPE, types[i], strlen(types[i]));
      return n;
    }
  (void)fail(s->err, OME_E_INVALID, "undeclared reference to '%.64s' at character %u", name, n->at + 1);
  return NULL;
}

/* ---- calls and macros -------------------------------------------------------------------------------------------- */

/* Arguments up to the closing bracket, appended to N. */
static struct node *parse_args(struct parser *s, struct node *n, const char *end) {
  bool ok = n != NULL;

  if (took(s, end, &ok))
    return ok ? n : NULL;
  do {
    ok = ok && add_arg(s, n, parse_expression(s));
  } while (took(s, ",", &ok));
  return ok && expect(s, end) ? n : NULL;
}

static const struct {
  const char *name;
  enum loop loop;
} macros[] = {
    {"all", LOOP_ALL}, {"exists", LOOP_EXISTS}, {"exists_one", LOOP_EXISTS_ONE}, {"existsOne", LOOP_EXISTS_ONE},
    {"map", LOOP_MAP}, {"filter", LOOP_FILTER}};

/* RANGE.NAME( is read. */
static struct node *parse_macro(struct parser *s, struct node *range, enum loop loop, const char *at) {
  struct node *n = new_node(s, NODE_LOOP, at);
  bool ok = n && add_arg(s, n, range);

  if (!ok)
    return NULL;
  if (s->lexer.now.kind != TOKEN_NAME)
    return syntax(s, "a variable name is missing");
  if (s->nscope == MAX_VARIABLES - VARIABLE_LOCAL)
    return syntax(s, "too many loops in loops");
  char *name = take_name(s);
  if (!name)
    return no_memory(s);
  if (!next(s) || !expect(s, ","))
    return NULL;
  n->loop = loop;
  n->variable = VARIABLE_LOCAL + s->nscope;
  s->scope[s->nscope++] = name;
  ok = add_arg(s, n, parse_expression(s));
  if (loop == LOOP_MAP && took(s, ",", &ok))
    ok = ok && add_arg(s, n, parse_expression(s));
  s->nscope--;
  return ok && expect(s, ")") ? n : NULL;
}

static struct node *parse_method(struct parser *s, struct node *target, char *name, const char *at) {
  for (size_t i = 0; i < ARRAY_LEN(macros); i++)
    if (streq(macros[i].name, name))
      return parse_macro(s, target, macros[i].loop, at);
  struct node *n = new_call(s, name, at, target, NULL);
  if (n)
    n->receiver = true;
  return parse_args(s, n, ")");
}

static struct node *parse_function(struct parser *s, char *name, const char *at) {
  struct node *n = new_node(s, NODE_CALL, at);

  if (!n)
    return NULL;
  n->name = name;
  n = parse_args(s, n, ")");
  if (!n || !streq(name, "has"))
    return n;
  if (n->nargs != 1 || n->args[0]->kind != NODE_SELECT || n->args[0]->test)
    return syntax(s, "has() takes one field: has(a.b)");
  n->args[0]->test = true;
  return n->args[0];
}

/* ---- primaries --------------------------------------------------------------------------------------------------- */

static struct node *parse_literal(struct parser *s, struct cel_value value) {
  struct node *n = new_node(s, NODE_LITERAL, s->lexer.now.ptr);

  if (!n)
    return NULL;
  n->value = value;
  return next(s) ? n : NULL;
}

static struct node *parse_word(struct parser *s) {
  const char *at = s->lexer.now.ptr;
  bool ok = true;

  if (lex_is(&s->lexer, "true") || lex_is(&s->lexer, "false"))
    return parse_literal(s, value_bool(*at == 't'));
  if (lex_is(&s->lexer, "null"))
    return parse_literal(s, (struct cel_value){.kind = CEL_NULL});
  char *name = take_name(s);
  if (!name)
    return no_memory(s);
  for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
    if (streq(reserved[i], name))
      return syntax(s, "a reserved word");
  if (!next(s))
    return NULL;
  if (took(s, "(", &ok))
    return ok ? parse_function(s, name, at) : NULL;
  return ok ? variable(s, name, at) : NULL;
}

static struct node *parse_map(struct parser *s) {
  struct node *n = new_node(s, NODE_MAP, s->lexer.now.ptr);
  bool ok = n && next(s);

  while (ok && !lex_is(&s->lexer, "}")) {
    ok = add_arg(s, n, parse_expression(s)) && expect(s, ":") && add_arg(s, n, parse_expression(s));
    if (!took(s, ",", &ok))
      break;
  }
  return ok && expect(s, "}") ? n : NULL;
}

static struct node *parse_list(struct parser *s) {
  struct node *n = new_node(s, NODE_LIST, s->lexer.now.ptr);
  bool ok = n && next(s);

  while (ok && !lex_is(&s->lexer, "]")) {
    ok = add_arg(s, n, parse_expression(s));
    if (!took(s, ",", &ok))
      break;
  }
  return ok && expect(s, "]") ? n : NULL;
}

static struct node *parse_primary(struct parser *s) {
  bool ok = true;

  switch (s->lexer.now.kind) {
  case TOKEN_NAME:
    return parse_word(s);
  case TOKEN_INT:
    if (s->lexer.now.value.i < 0)
      return syntax(s, "the number is too large");
    return parse_literal(s, s->lexer.now.value);
  case TOKEN_UINT:
  case TOKEN_DOUBLE:
  case TOKEN_STRING:
  case TOKEN_BYTES:
    return parse_literal(s, s->lexer.now.value);
  case TOKEN_END:
    return syntax(s, "the expression ends too early");
  case TOKEN_SIGN:
    break;
  }
  if (lex_is(&s->lexer, "["))
    return parse_list(s);
  if (lex_is(&s->lexer, "{"))
    return parse_map(s);
  if (!took(s, "(", &ok))
    return syntax(s, "a value is missing");
  struct node *n = ok ? parse_expression(s) : NULL;
  return n && expect(s, ")") ? n : NULL;
}

/* N[ is read. */
static struct node *parse_index(struct parser *s, struct node *n, const char *at) {
  struct node *index = parse_expression(s);
  struct node *call = index ? new_call(s, "[]", at, n, index) : NULL;

  return call && expect(s, "]") ? call : NULL;
}

/* N. is read: a field or a method. */
static struct node *parse_dot(struct parser *s, struct node *n, const char *at) {
  bool ok = true;

  if (s->lexer.now.kind != TOKEN_NAME)
    return syntax(s, "a field name is missing");
  char *method = take_name(s), *field = field_name(s);
  if (!method || !field)
    return no_memory(s);
  if (!next(s))
    return NULL;
  if (took(s, "(", &ok))
    return ok ? parse_method(s, n, method, at) : NULL;
  struct node *select = new_node(s, NODE_SELECT, at);
  if (!select || !add_arg(s, select, n))
    return NULL;
  select->name = field;
  return select;
}

static struct node *parse_member(struct parser *s) {
  struct node *n = parse_primary(s);
  bool ok = true;

  while (n && ok) {
    const char *at = s->lexer.now.ptr;
    if (took(s, "[", &ok))
      n = ok ? parse_index(s, n, at) : NULL;
    else if (took(s, ".", &ok))
      n = ok ? parse_dot(s, n, at) : NULL;
    else
      return n;
  }
  return NULL;
}

static struct node *parse_unary(struct parser *s) {
  const char *at = s->lexer.now.ptr;
  bool ok = true;

  if (++s->depth > MAX_DEPTH)
    return syntax(s, "the expression is nested too deep");
  struct node *n = NULL;
  if (took(s, "!", &ok)) {
    struct node *operand = ok ? parse_unary(s) : NULL;
    n = operand ? new_call(s, "!_", at, operand, NULL) : NULL;
  } else if (took(s, "-", &ok)) {
    /* The one number that only fits with its sign. */
    if (ok && s->lexer.now.kind == TOKEN_INT)
      s->lexer.now.value.i = (int64_t)(0 - (uint64_t)s->lexer.now.value.i);
    if (ok && s->lexer.now.kind == TOKEN_INT) {
      n = parse_literal(s, s->lexer.now.value);
    } else {
      struct node *operand = ok ? parse_unary(s) : NULL;
      n = operand ? new_call(s, "-_", at, operand, NULL) : NULL;
    }
  } else {
    n = parse_member(s);
  }
  s->depth--;
  return n;
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

/* From the loosest to the tightest; all lean to the left. */
static const char *const levels[][8] = {{"||", NULL},
                                        {"&&", NULL},
                                        {"==", "!=", "<=", ">=", "<", ">", "in", NULL},
                                        {"+", "-", NULL},
                                        {"*", "/", "%", NULL}};

static struct node *join(struct parser *s, size_t level, const char *op, const char *at, struct node *a,
                         struct node *b) {
  if (level > 1)
    return new_call(s, op, at, a, b);
  struct node *n = new_node(s, level == 0 ? NODE_OR : NODE_AND, at);
  return n && add_arg(s, n, a) && add_arg(s, n, b) ? n : NULL;
}

static struct node *parse_level(struct parser *s, size_t level) {
  struct node *n = level == ARRAY_LEN(levels) ? parse_unary(s) : parse_level(s, level + 1);

  for (bool more = level < ARRAY_LEN(levels); n && more;) {
    more = false;
    for (const char *const *op = levels[level]; n && *op && !more; op++) {
      const char *at = s->lexer.now.ptr;
      bool ok = true;
      more = took(s, *op, &ok);
      struct node *right = more && ok ? parse_level(s, level + 1) : NULL;
      if (more)
        n = right ? join(s, level, *op, at, n, right) : NULL;
    }
  }
  return n;
}

static struct node *parse_expression(struct parser *s) {
  bool ok = true;

  if (++s->depth > MAX_DEPTH)
    return syntax(s, "the expression is nested too deep");
  struct node *n = parse_level(s, 0);
  const char *at = s->lexer.now.ptr;
  if (n && took(s, "?", &ok)) {
    struct node *cond = ok ? new_node(s, NODE_COND, at) : NULL;
    ok = cond && add_arg(s, cond, n) && add_arg(s, cond, parse_level(s, 0)) && expect(s, ":") &&
         add_arg(s, cond, parse_expression(s));
    n = ok ? cond : NULL;
  }
  s->depth--;
  return n;
}

int32_t cel_parse(struct cel_program *p, const char *text, struct ome_err *err) {
  struct parser s = {.p = p, .err = err, .lexer = {.text = text, .at = text, .arena = &p->arena}};

  if (strlen(text) > MAX_TEXT)
    return fail(err, OME_E_INVALID, "the expression is longer than %zu characters", MAX_TEXT);
  if (!next(&s))
    return err->code;
  p->root = parse_expression(&s);
  if (!p->root)
    return err->code;
  return s.lexer.now.kind == TOKEN_END ? OME_OK : lex_fail(&s.lexer, err, "something is left over");
}
