/* x-kubernetes-validations: rules in CEL, compiled with the schema, checked with the object. */
#include "api/schema_internal.h"

#include "base/str.h"
#include "cel/cel.h"

#include <string.h>

struct schema_rule {
  const struct cel_program *program;
  const struct cel_program *message_program; /* NULL: none */
  const char *message;                       /* NULL: the rule itself */
  const char *text;
  const char *field_path; /* below the object; "" itself */
  int type;               /* FIELD_* */
  bool optional_old;      /* also without an old value */
};

/* ---- types ------------------------------------------------------------------------------------------------------- */

static struct cel_type type_of(const struct schema *s) {
  static const struct {
    const char *format;
    enum cel_kind kind;
  } formats[] = {
      {"byte", CEL_BYTES}, {"date-time", CEL_TIMESTAMP}, {"date", CEL_TIMESTAMP}, {"duration", CEL_DURATION}};
  static const enum cel_kind kinds[] = {
      [SCHEMA_ANY] = CEL_DYN,       [SCHEMA_OBJECT] = CEL_MAP,       [SCHEMA_ARRAY] = CEL_LIST,
      [SCHEMA_STRING] = CEL_STRING, [SCHEMA_INTEGER] = CEL_INT,      [SCHEMA_NUMBER] = CEL_DOUBLE,
      [SCHEMA_BOOLEAN] = CEL_BOOL,  [SCHEMA_INT_OR_STRING] = CEL_DYN};
  struct cel_type t = {.kind = s ? kinds[s->type] : CEL_DYN, .schema = s};

  if (t.kind == CEL_MAP && !s->additional)
    t.kind = s->nproperties ? CEL_OBJECT : CEL_DYN;
  for (size_t i = 0; t.kind == CEL_STRING && s->format && i < ARRAY_LEN(formats); i++)
    if (streq(formats[i].format, s->format))
      t.kind = formats[i].kind;
  return t;
}

/* Every resource has these, whether its schema says so or not. */
static bool is_resource_field(const char *name) {
  return streq(name, "metadata") || streq(name, "apiVersion") || streq(name, "kind");
}

static bool field_of(const void *schema, const char *name, struct cel_type *out) {
  const struct schema *field = schema_field(schema, name);

  if (!field && !is_resource_field(name))
    return false;
  *out = type_of(field);
  return true;
}

static struct cel_type elem_of(const void *schema) {
  const struct schema *s = schema;

  return type_of(s->type == SCHEMA_ARRAY ? s->items : s->additional);
}

static const struct cel_schema_ops ops = {.field = field_of, .elem = elem_of};

/* ---- compiling --------------------------------------------------------------------------------------------------- */

static int32_t compile(struct schema_doc *d, const struct schema *s, const char *text, enum cel_kind wanted,
                       const struct cel_program **out, struct ome_err *err) {
  struct cel_program *p = NULL;
  int32_t rc = cel_compile(text, type_of(s), &ops, wanted, &p, err);

  if (rc != OME_OK)
    return rc;
  if (!VEC_PUSH(&d->programs, p)) {
    cel_program_free(p);
    return fail_memory(err);
  }
  *out = p;
  return OME_OK;
}

static int reason_of(const char *reason) {
  return streq(reason, "FieldValueRequired")    ? FIELD_REQUIRED
         : streq(reason, "FieldValueForbidden") ? FIELD_FORBIDDEN
         : streq(reason, "FieldValueDuplicate") ? FIELD_DUPLICATE
                                                : FIELD_INVALID;
}

static int32_t compile_rule(struct schema_doc *d, const struct schema *s, struct json_object *from,
                            struct schema_rule *out, struct ome_err *err) {
  const char *message = json_str(from, "message", "");
  const char *expression = json_str(from, "messageExpression", "");

  out->text = schema_strdup(d, json_str(from, "rule", ""));
  out->message = *message ? schema_strdup(d, message) : NULL;
  out->field_path = schema_strdup(d, json_str(from, "fieldPath", ""));
  out->type = reason_of(json_str(from, "reason", ""));
  out->optional_old = json_flag(from, "optionalOldSelf", false);
  if (!out->text || !out->field_path || (*message && !out->message))
    return fail_memory(err);
  int32_t rc = compile(d, s, out->text, CEL_BOOL, &out->program, err);
  if (rc != OME_OK)
    return fail_prefix(err, "rule: Invalid value: \"%.200s\": compilation failed", out->text);
  if (*expression && compile(d, s, expression, CEL_STRING, &out->message_program, err) != OME_OK)
    return fail_prefix(err, "messageExpression: Invalid value: \"%.200s\": compilation failed", expression);
  return OME_OK;
}

int32_t schema_compile_rules(struct schema_doc *d, struct schema *s, const char *path, struct ome_err *err) {
  size_t n = json_len(s->validations);
  struct schema_rule *rules = schema_alloc(d, n * sizeof(*rules));

  if (!rules)
    return fail_memory(err);
  for (size_t i = 0; i < n; i++) {
    int32_t rc = compile_rule(d, s, json_index(s->validations, i), &rules[i], err);
    if (rc != OME_OK) {
      _cleanup_free_ char *why = strdup(err->msg);
      return fail(err, rc, "%s.x-kubernetes-validations[%zu].%s", path, i, why ? why : "");
    }
  }
  s->rules = rules;
  s->nrules = n;
  return OME_OK;
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

static const char *shown_type(const struct schema *s) {
  static const char *const names[] = {[SCHEMA_ANY] = "object",      [SCHEMA_OBJECT] = "object",
                                      [SCHEMA_ARRAY] = "array",     [SCHEMA_STRING] = "string",
                                      [SCHEMA_INTEGER] = "integer", [SCHEMA_NUMBER] = "number",
                                      [SCHEMA_BOOLEAN] = "boolean", [SCHEMA_INT_OR_STRING] = "integer,string"};

  return names[s->type];
}

/* What is said of a rule that does not hold; new. */
static char *message_of(const struct schema_rule *r, struct json_object *o, struct json_object *old) {
  struct ome_err err = ERR_INIT;
  char *text = NULL;

  if (r->message_program && cel_eval_text(r->message_program, o, old, &text, &err) == OME_OK && *text)
    return text;
  free(text);
  return r->message ? strdup(r->message) : str_printf("failed rule: %s", r->text);
}

static void report(const struct schema *s, const struct schema_rule *r, const char *path, const char *message,
                   struct field_errors *out) {
  static const char *const words[] = {
      [FIELD_REQUIRED] = "Required value", [FIELD_FORBIDDEN] = "Forbidden", [FIELD_DUPLICATE] = "Duplicate value"};
  const char *below = *path ? r->field_path : r->field_path + (*r->field_path == '.');
  _cleanup_free_ char *field = str_printf("%s%s", path, *path || *below ? below : "<nil>");

  if (!field)
    return;
  if (r->type == FIELD_INVALID)
    field_errors_add(out, FIELD_INVALID, field, "Invalid value: \"%s\": %s", shown_type(s), message);
  else if (r->type == FIELD_DUPLICATE)
    field_errors_add(out, r->type, field, "%s: \"%s\": %s", words[r->type], shown_type(s), message);
  else
    field_errors_add(out, r->type, field, "%s: %s", words[r->type], message);
}

void schema_check_rules(const struct schema *s, struct json_object *o, struct json_object *old, const char *path,
                        struct field_errors *out) {
  for (size_t i = 0; i < s->nrules; i++) {
    const struct schema_rule *r = &s->rules[i];
    struct ome_err err = ERR_INIT;
    bool holds = false;

    if (cel_uses_old(r->program) && !old && !r->optional_old)
      continue;
    int32_t rc = cel_eval_bool(r->program, o, old, &holds, &err);
    if (holds)
      continue;
    _cleanup_free_ char *message = message_of(r, o, old);
    _cleanup_free_ char *text = rc == OME_OK ? NULL : str_printf("%s evaluating rule: %s", err.msg, message);
    report(s, r, path, text ? text : message ? message : "out of memory", out);
  }
}
