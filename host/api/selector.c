#include "api/selector.h"

#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"

#include <ctype.h>
#include <string.h>

#define MAX_TERMS 256
#define MAX_VALUES 1024

struct selector {
  VEC(struct selector_term) terms;
  bool nothing; /* matches no object at all */
};

static void values_free(const char *const *values) {
  for (size_t i = 0; values && values[i]; i++)
    free((char *)(uintptr_t)values[i]);
  free((void *)(uintptr_t)values);
}

void selector_free(struct selector *s) {
  if (!s)
    return;
  for (size_t i = 0; i < s->terms.len; i++) {
    free((char *)(uintptr_t)s->terms.items[i].key);
    values_free(s->terms.items[i].values);
  }
  VEC_FREE(&s->terms);
  free(s);
}

/* ---- building -------------------------------------------------------------------------------------------------- */

/* Appends a term with N copied values. */
static int32_t add_term(struct selector *s, const char *key, size_t key_len, enum selector_op op,
                        const char *const *values, size_t n, struct ome_err *err) {
  struct selector_term t = {str_copy(key, key_len), op, NULL};
  const char **copies = calloc(n + 1, sizeof(*copies));

  if (s->terms.len >= MAX_TERMS || n > MAX_VALUES) {
    free((char *)(uintptr_t)t.key);
    free(copies);
    return fail(err, OME_E_INVALID, "selector: more than %d terms", MAX_TERMS);
  }
  bool ok = t.key && copies;
  for (size_t i = 0; ok && i < n; i++)
    ok = (copies[i] = strdup(values[i])) != NULL;
  t.values = copies;
  if (ok && VEC_PUSH(&s->terms, t))
    return OME_OK;
  free((char *)(uintptr_t)t.key);
  values_free(copies);
  return fail_memory(err);
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

struct reader {
  const char *text, *p;
  struct ome_err *err;
};

static void skip_space(struct reader *r) {
  while (*r->p == ' ' || *r->p == '\t')
    r->p++;
}

static int32_t bad(struct reader *r, const char *expected) {
  return fail(r->err, OME_E_INVALID, "unable to parse requirement: found '%.40s', expected: %s", r->p, expected);
}

/* A key or value: what is no operator, comma, bracket or space. */
static size_t word_length(const char *p) {
  return strcspn(p, " \t,()=!<>");
}

/* Label keys: an optional DNS subdomain and a slash, then 1 to 63 name characters (apimachinery IsQualifiedName). */
static bool is_name(const char *s, size_t len, bool may_be_empty) {
  if (len == 0)
    return may_be_empty;
  if (len > 63 || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[len - 1]))
    return false;
  for (size_t i = 0; i < len; i++)
    if (!isalnum((unsigned char)s[i]) && !strchr("-_.", s[i]))
      return false;
  return true;
}

static bool is_qualified(const char *s, size_t len) {
  const char *slash = memchr(s, '/', len);

  if (!slash)
    return is_name(s, len, false);
  _cleanup_free_ char *prefix = str_copy(s, (size_t)(slash - s));
  return prefix && is_dns_subdomain(prefix) && is_name(slash + 1, len - (size_t)(slash - s) - 1, false);
}

/* "(a, b)" after in and notin. */
static int32_t read_set(struct reader *r, struct selector *s, const char *key, size_t key_len, enum selector_op op) {
  VEC(char *) values = {0};
  int32_t rc = OME_OK;

  skip_space(r);
  if (*r->p != '(')
    return bad(r, "'('");
  do {
    r->p++;
    skip_space(r);
    size_t n = word_length(r->p);
    char *value = is_name(r->p, n, true) ? str_copy(r->p, n) : NULL;
    if (!value || !VEC_PUSH(&values, value)) {
      free(value);
      rc = bad(r, "a label value");
      break;
    }
    r->p += n;
    skip_space(r);
  } while (*r->p == ',');
  if (rc == OME_OK && *r->p != ')')
    rc = bad(r, "',' or ')'");
  if (rc == OME_OK) {
    r->p++;
    rc = add_term(s, key, key_len, op, (const char *const *)values.items, values.len, r->err);
  }
  for (size_t i = 0; i < values.len; i++)
    free(values.items[i]);
  VEC_FREE(&values);
  return rc;
}

static int32_t read_value(struct reader *r, struct selector *s, const char *key, size_t key_len, enum selector_op op) {
  int64_t number;

  skip_space(r);
  size_t n = word_length(r->p);
  if (!is_name(r->p, n, true))
    return bad(r, "a label value");
  _cleanup_free_ char *value = str_copy(r->p, n);
  if (!value)
    return fail_memory(r->err);
  if ((op == SELECTOR_GT || op == SELECTOR_LT) && !str_to_i64(value, &number))
    return fail(r->err, OME_E_INVALID, "for 'Gt', 'Lt' operators, the value must be an integer");
  r->p += n;
  const char *const values[] = {value};
  return add_term(s, key, key_len, op, values, 1, r->err);
}

static int32_t read_operator(struct reader *r, struct selector *s, const char *key, size_t key_len) {
  static const struct {
    const char *text;
    enum selector_op op;
  } operators[] = {
      {"==", SELECTOR_EQ}, {"=", SELECTOR_EQ}, {"!=", SELECTOR_NE}, {">", SELECTOR_GT}, {"<", SELECTOR_LT}};

  for (size_t i = 0; i < ARRAY_LEN(operators); i++)
    if (has_prefix(r->p, operators[i].text)) {
      r->p += strlen(operators[i].text);
      return read_value(r, s, key, key_len, operators[i].op);
    }
  size_t n = word_length(r->p);
  bool is_in = n == 2 && memcmp(r->p, "in", 2) == 0;
  bool not_in = n == 5 && memcmp(r->p, "notin", 5) == 0;
  if (!is_in && !not_in)
    return bad(r, "in, notin, =, ==, !=, gt, lt");
  r->p += n;
  return read_set(r, s, key, key_len, is_in ? SELECTOR_IN : SELECTOR_NOT_IN);
}

static int32_t read_term(struct reader *r, struct selector *s) {
  bool negated = *r->p == '!';

  r->p += negated;
  skip_space(r);
  const char *key = r->p;
  size_t n = word_length(key);
  if (!is_qualified(key, n))
    return bad(r, "a label key");
  r->p += n;
  skip_space(r);
  if (negated)
    return add_term(s, key, n, SELECTOR_NOT_EXISTS, NULL, 0, r->err);
  if (*r->p == ',' || !*r->p)
    return add_term(s, key, n, SELECTOR_EXISTS, NULL, 0, r->err);
  return read_operator(r, s, key, n);
}

typedef int32_t read_fn(struct reader *r, struct selector *s);

/* Terms joined by commas. */
static int32_t read_all(const char *text, read_fn *read, struct selector **out, struct ome_err *err) {
  _cleanup_(selector_freep) struct selector *s = calloc(1, sizeof(*s));
  struct reader r = {text, text, err};

  if (!s)
    return fail_memory(err);
  if (text)
    skip_space(&r);
  while (text && *r.p) {
    int32_t rc = read(&r, s);
    if (rc != OME_OK)
      return rc;
    skip_space(&r);
    if (*r.p && *r.p != ',')
      return bad(&r, "',' or the end");
    if (*r.p == ',') {
      r.p++;
      skip_space(&r);
      if (!*r.p)
        return bad(&r, "a label key");
    }
  }
  *out = TAKE_PTR(s);
  return OME_OK;
}

int32_t selector_parse(const char *text, struct selector **out, struct ome_err *err) {
  return read_all(text, read_term, out, err);
}

static int32_t read_field(struct reader *r, struct selector *s) {
  const char *key = r->p;
  size_t n = strcspn(key, "=!,");

  r->p += n;
  if (!n || (*r->p != '=' && r->p[1] != '='))
    return fail(r->err, OME_E_INVALID, "invalid selector: '%s'; can't understand '%.*s'", r->text,
                (int)strcspn(key, ","), key);
  enum selector_op op = *r->p == '!' ? SELECTOR_NE : SELECTOR_EQ;
  r->p += r->p[1] == '=' ? 2 : 1;
  size_t len = strcspn(r->p, ",");
  _cleanup_free_ char *value = str_copy(r->p, len);
  if (!value)
    return fail_memory(r->err);
  r->p += len;
  const char *const values[] = {value};
  return add_term(s, key, n, op, values, 1, r->err);
}

int32_t field_selector_parse(const char *text, struct selector **out, struct ome_err *err) {
  return read_all(text, read_field, out, err);
}

/* ---- objects --------------------------------------------------------------------------------------------------- */

static int32_t add_map(struct selector *s, struct json_object *map, struct ome_err *err) {
  if (!json_is(map, json_type_object))
    return OME_OK;
  json_object_object_foreach (map, key, v) {
    const char *const values[] = {v ? json_object_get_string(v) : ""};
    int32_t rc = add_term(s, key, strlen(key), SELECTOR_EQ, values, 1, err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

static bool op_of(const char *name, enum selector_op *out) {
  static const struct {
    const char *name;
    enum selector_op op;
  } ops[] = {{"In", SELECTOR_IN},         {"NotIn", SELECTOR_NOT_IN},
             {"Exists", SELECTOR_EXISTS}, {"DoesNotExist", SELECTOR_NOT_EXISTS},
             {"Gt", SELECTOR_GT},         {"Lt", SELECTOR_LT}};

  for (size_t i = 0; i < ARRAY_LEN(ops); i++)
    if (streq(ops[i].name, name)) {
      *out = ops[i].op;
      return true;
    }
  return false;
}

static int32_t add_expression(struct selector *s, struct json_object *e, struct ome_err *err) {
  struct json_object *list = json_at(e, "values");
  const char *key = json_str(e, "key", "");
  size_t n = json_len(list);
  enum selector_op op;

  if (!op_of(json_str(e, "operator", ""), &op))
    return fail(err, OME_E_INVALID, "\"%s\" is not a valid label selector operator", json_str(e, "operator", ""));
  _cleanup_free_ const char **values = calloc(n + 1, sizeof(*values));
  if (!values)
    return fail_memory(err);
  for (size_t i = 0; i < n; i++)
    values[i] = json_object_get_string(json_index(list, i));
  return add_term(s, key, strlen(key), op, values, n, err);
}

static int32_t add_expressions(struct selector *s, struct json_object *list, struct ome_err *err) {
  for (size_t i = 0; i < json_len(list); i++) {
    int32_t rc = add_expression(s, json_index(list, i), err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

int32_t selector_from_object(struct json_object *o, struct selector **out, struct ome_err *err) {
  _cleanup_(selector_freep) struct selector *s = calloc(1, sizeof(*s));

  if (!s)
    return fail_memory(err);
  s->nothing = !o;
  int32_t rc = add_map(s, json_at(o, "matchLabels"), err);
  if (rc == OME_OK)
    rc = add_expressions(s, json_at(o, "matchExpressions"), err);
  if (rc == OME_OK)
    *out = TAKE_PTR(s);
  return rc;
}

int32_t selector_from_map(struct json_object *o, struct selector **out, struct ome_err *err) {
  _cleanup_(selector_freep) struct selector *s = calloc(1, sizeof(*s));

  if (!s)
    return fail_memory(err);
  s->nothing = json_empty(o);
  int32_t rc = add_map(s, o, err);
  if (rc == OME_OK)
    *out = TAKE_PTR(s);
  return rc;
}

/* ---- matching -------------------------------------------------------------------------------------------------- */

static bool in_values(const char *value, const char *const *values) {
  for (; *values; values++)
    if (streq(*values, value))
      return true;
  return false;
}

/* VALUE NULL: the key is absent. */
static bool term_matches(const struct selector_term *t, const char *value) {
  int64_t have;
  int64_t want;

  switch (t->op) {
  case SELECTOR_EQ:
  case SELECTOR_IN:
    return value && in_values(value, t->values);
  case SELECTOR_NE:
  case SELECTOR_NOT_IN:
    return !value || !in_values(value, t->values);
  case SELECTOR_EXISTS:
    return value != NULL;
  case SELECTOR_NOT_EXISTS:
    return !value;
  case SELECTOR_GT:
  case SELECTOR_LT:
    if (!str_to_i64(value, &have) || !t->values[0] || !str_to_i64(t->values[0], &want))
      return false;
    return t->op == SELECTOR_GT ? have > want : have < want;
  }
  return false;
}

static const char *text_of(struct json_object *v) {
  return v ? json_object_get_string(v) : NULL;
}

bool selector_match(const struct selector *s, struct json_object *labels) {
  if (s->nothing)
    return false;
  for (size_t i = 0; i < s->terms.len; i++)
    if (!term_matches(&s->terms.items[i], text_of(json_get(labels, s->terms.items[i].key))))
      return false;
  return true;
}

bool field_selector_match(const struct selector *s, struct json_object *obj) {
  for (size_t i = 0; i < s->terms.len; i++) {
    const char *value = text_of(json_at(obj, s->terms.items[i].key));
    if (!term_matches(&s->terms.items[i], value ? value : "")) /* an absent field is its empty value */
      return false;
  }
  return true;
}

size_t selector_terms(const struct selector *s, const struct selector_term **out) {
  *out = s->terms.items;
  return s->terms.len;
}

/* All EXPRESSIONS hold of VALUES (labels, or the object itself for fields). */
static bool expressions_match(struct json_object *expressions, struct json_object *node, bool fields) {
  struct selector *owned = calloc(1, sizeof(*owned));
  struct ome_err err = ERR_INIT;
  bool match = owned && add_expressions(owned, expressions, &err) == OME_OK &&
               (fields ? field_selector_match(owned, node) : selector_match(owned, json_at(node, "metadata.labels")));

  selector_free(owned);
  return match;
}

static bool term_matches_node(struct json_object *term, struct json_object *node) {
  struct json_object *labels = json_at(term, "matchExpressions");
  struct json_object *fields = json_at(term, "matchFields");

  if (json_empty(labels) && json_empty(fields))
    return false;
  return expressions_match(labels, node, false) && expressions_match(fields, node, true);
}

bool node_selector_match(struct json_object *node_selector, struct json_object *node) {
  struct json_object *terms = json_at(node_selector, "nodeSelectorTerms");

  for (size_t i = 0; i < json_len(terms); i++)
    if (term_matches_node(json_index(terms, i), node))
      return true;
  return false;
}
