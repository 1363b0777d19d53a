#include "base/yaml.h"

#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#define MAX_NODES 200000 /* of one document, aliases expanded: a bound on "billion laughs" */

struct reader {
  const char *name;
  yaml_document_t *doc;
  size_t nodes;
  struct ome_err *err;
};

static void yaml_parser_close(yaml_parser_t *p) {
  yaml_parser_delete(p);
}

static int32_t bad(struct reader *r, const yaml_node_t *node, const char *why) {
  return fail(r->err, OME_E_INVALID, "%s:%zu: %s", r->name, node->start_mark.line + 1, why);
}

static bool is_int(const char *s) {
  s += *s == '-' || *s == '+';
  if (!*s)
    return false;
  for (; *s; s++)
    if (!isdigit((unsigned char)*s))
      return false;
  return true;
}

static bool is_float(const char *s) {
  bool digits = false;
  bool mark = false;

  s += *s == '-' || *s == '+';
  for (; isdigit((unsigned char)*s); s++)
    digits = true;
  if (*s == '.') {
    mark = true;
    for (s++; isdigit((unsigned char)*s); s++)
      digits = true;
  }
  if (!digits)
    return false;
  if (*s == 'e' || *s == 'E') {
    mark = true;
    s++;
    s += *s == '-' || *s == '+';
    if (!isdigit((unsigned char)*s))
      return false;
    while (isdigit((unsigned char)*s))
      s++;
  }
  return mark && !*s;
}

static bool is_null(const char *s) {
  return !*s || streq(s, "~") || streq(s, "null") || streq(s, "Null") || streq(s, "NULL");
}

/* 1 true, 0 false, -1 neither. */
static int bool_of(const char *s) {
  if (streq(s, "true") || streq(s, "True") || streq(s, "TRUE"))
    return 1;
  if (streq(s, "false") || streq(s, "False") || streq(s, "FALSE"))
    return 0;
  return -1;
}

/* Whether a plain scalar S would be read as something other than a string. */
static bool is_special(const char *s) {
  return is_null(s) || bool_of(s) >= 0 || is_int(s) || is_float(s) || has_prefix(s, "0x") || has_prefix(s, "0o") ||
         strcasecmp(s, "y") == 0 || strcasecmp(s, "n") == 0 || strcasecmp(s, "yes") == 0 || strcasecmp(s, "no") == 0 ||
         strcasecmp(s, "on") == 0 || strcasecmp(s, "off") == 0;
}

static struct json_object *number(const char *s) {
  if (is_int(s)) {
    int64_t v;
    if (str_to_i64(*s == '+' ? s + 1 : s, &v))
      return json_object_new_int64(v);
  }
  return json_object_new_double_s(strtod(s, NULL), s);
}

static int32_t scalar(struct reader *r, const yaml_node_t *node, struct json_object **out) {
  const char *s = (const char *)node->data.scalar.value;
  size_t len = node->data.scalar.length;
  /* libyaml tags every untagged scalar !!str: only the style tells "5" from 5. */
  bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

  if (strlen(s) != len)
    return bad(r, node, "a NUL character in a value");
  *out = NULL;
  if (!plain) {
    *out = json_object_new_string_len(s, (int)len);
    return *out ? OME_OK : fail_memory(r->err);
  }
  if (is_null(s))
    return OME_OK;
  if (bool_of(s) >= 0)
    *out = json_object_new_boolean(bool_of(s));
  else if (is_int(s) || is_float(s))
    *out = number(s);
  else
    *out = json_object_new_string_len(s, (int)len);
  return *out ? OME_OK : fail_memory(r->err);
}

static int32_t convert(struct reader *r, int index, int depth, struct json_object **out);

static int32_t sequence(struct reader *r, const yaml_node_t *node, int depth, struct json_object **out) {
  _cleanup_json_ struct json_object *array = json_object_new_array();

  if (!array)
    return fail_memory(r->err);
  for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
    struct json_object *v;
    int32_t rc = convert(r, *i, depth + 1, &v);
    if (rc != OME_OK)
      return rc;
    if (!json_add(array, v))
      return fail_memory(r->err);
  }
  *out = TAKE_PTR(array);
  return OME_OK;
}

/* "<<": the keys of a mapping, or of each mapping of a list, that OBJECT does not have itself. */
static int32_t merge(struct reader *r, const yaml_node_t *node, struct json_object *from, struct json_object *object) {
  if (json_is(from, json_type_array)) {
    for (size_t i = 0; i < json_len(from); i++) {
      int32_t rc = merge(r, node, json_index(from, i), object);
      if (rc != OME_OK)
        return rc;
    }
    return OME_OK;
  }
  if (!json_is(from, json_type_object))
    return bad(r, node, "\"<<\" takes a mapping or a list of mappings");
  json_object_object_foreach (from, key, v) {
    if (!json_has(object, key) && !json_put(object, key, json_object_get(v)))
      return fail_memory(r->err);
  }
  return OME_OK;
}

static bool is_merge_key(const yaml_node_t *key) {
  return key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && streq((const char *)key->data.scalar.value, "<<");
}

static int32_t mapping(struct reader *r, const yaml_node_t *node, int depth, struct json_object **out) {
  _cleanup_json_ struct json_object *object = json_object_new_object();
  _cleanup_json_ struct json_object *merged = NULL; /* applied last: the mapping's own keys win */

  if (!object)
    return fail_memory(r->err);
  for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
    yaml_node_t *key = yaml_document_get_node(r->doc, p->key);
    struct json_object *v;
    if (!key || key->type != YAML_SCALAR_NODE)
      return bad(r, node, "a key must be a string");
    const char *name = (const char *)key->data.scalar.value;
    if (is_merge_key(key) && !merged) {
      int32_t rc = convert(r, p->value, depth + 1, &merged);
      if (rc != OME_OK)
        return rc;
      continue;
    }
    if (json_has(object, name))
      return fail(r->err, OME_E_INVALID, "%s:%zu: key \"%s\" is there twice", r->name, key->start_mark.line + 1, name);
    int32_t rc = convert(r, p->value, depth + 1, &v);
    if (rc != OME_OK)
      return rc;
    if (!json_put(object, name, v))
      return fail_memory(r->err);
  }
  int32_t rc = merged ? merge(r, node, merged, object) : OME_OK;
  if (rc == OME_OK)
    *out = TAKE_PTR(object);
  return rc;
}

static int32_t convert(struct reader *r, int index, int depth, struct json_object **out) {
  const yaml_node_t *node = yaml_document_get_node(r->doc, index);

  *out = NULL;
  if (!node)
    return fail(r->err, OME_E_INVALID, "%s: broken document", r->name);
  if (depth > JSON_MAX_DEPTH)
    return bad(r, node, "nested too deeply");
  if (++r->nodes > MAX_NODES)
    return bad(r, node, "too many values in one document");
  switch (node->type) {
  case YAML_SCALAR_NODE:
    return scalar(r, node, out);
  case YAML_SEQUENCE_NODE:
    return sequence(r, node, depth, out);
  case YAML_MAPPING_NODE:
    return mapping(r, node, depth, out);
  default:
    return bad(r, node, "unknown kind of value");
  }
}

static int32_t syntax_error(const yaml_parser_t *p, const char *name, struct ome_err *err) {
  return fail(err, p->error == YAML_MEMORY_ERROR ? OME_E_NO_MEMORY : OME_E_INVALID, "%s:%zu: %s", name,
              p->problem_mark.line + 1, p->problem ? p->problem : "not YAML");
}

/* libyaml composes recursively without a bound of its own: nesting is counted on its event stream first. */
static int32_t check_depth(const char *name, const char *text, size_t len, struct ome_err *err) {
  _cleanup_(yaml_parser_close) yaml_parser_t parser;
  int depth = 0;

  if (!yaml_parser_initialize(&parser))
    return fail_memory(err);
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
  for (;;) {
    yaml_event_t event;
    if (!yaml_parser_parse(&parser, &event))
      return syntax_error(&parser, name, err);
    yaml_event_type_t type = event.type;
    size_t line = event.start_mark.line + 1;
    yaml_event_delete(&event);
    if (type == YAML_STREAM_END_EVENT)
      return OME_OK;
    depth += type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
    depth -= type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT;
    if (depth > JSON_MAX_DEPTH)
      return fail(err, OME_E_INVALID, "%s:%zu: nested deeper than %d levels", name, line, JSON_MAX_DEPTH);
  }
}

int32_t yaml_parse(const char *name, const char *text, size_t len, yaml_doc_fn each, void *arg, struct ome_err *err) {
  _cleanup_(yaml_parser_close) yaml_parser_t parser;

  if (len > JSON_MAX_BYTES) {
    memset(&parser, 0, sizeof(parser));
    return fail(err, OME_E_INVALID, "%s: %zu bytes are more than the %zu allowed", name, len, JSON_MAX_BYTES);
  }
  if (!yaml_parser_initialize(&parser))
    return fail_memory(err);
  int32_t rc = check_depth(name, text, len, err);
  if (rc != OME_OK)
    return rc;
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
  for (;;) {
    yaml_document_t doc;
    struct json_object *o = NULL;
    if (!yaml_parser_load(&parser, &doc))
      return syntax_error(&parser, name, err);
    yaml_node_t *root = yaml_document_get_root_node(&doc);
    if (!root) {
      yaml_document_delete(&doc);
      return OME_OK;
    }
    struct reader r = {.name = name, .doc = &doc, .err = err};
    size_t line = root->start_mark.line + 1;
    rc = convert(&r, 1, 0, &o);
    yaml_document_delete(&doc);
    if (rc != OME_OK)
      return rc;
    if (o) {
      rc = each(arg, o, line, err);
      if (rc != OME_OK)
        return rc;
    }
  }
}

static int32_t keep_one(void *arg, struct json_object *doc, size_t line, struct ome_err *err) {
  struct json_object **out = arg;

  if (*out) {
    json_unref(doc);
    return fail(err, OME_E_INVALID, "line %zu: a second document where one was expected", line);
  }
  *out = doc;
  return OME_OK;
}

int32_t yaml_parse_one(const char *name, const char *text, size_t len, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *doc = NULL;
  int32_t rc = yaml_parse(name, text, len, keep_one, &doc, err);

  if (rc != OME_OK)
    return rc;
  if (!doc)
    return fail(err, OME_E_INVALID, "%s: empty", name);
  *out = TAKE_PTR(doc);
  return OME_OK;
}

static bool needs_quotes(const char *s) {
  size_t len = strlen(s);

  if (is_special(s) || strchr("-?:,[]{}#&*!|>'\"%@` ", s[0]) || isdigit((unsigned char)s[0]) || s[0] == '.' ||
      s[0] == '+' || s[0] == '=' || s[0] == '<' || s[len - 1] == ' ' || s[len - 1] == ':')
    return true;
  return strstr(s, ": ") || strstr(s, " #");
}

static bool has_control(const char *s) {
  for (; *s; s++)
    if ((unsigned char)*s < ' ' || *s == 0x7f)
      return true;
  return false;
}

static void write_string(struct buf *out, const char *s) {
  if (has_control(s) || strchr(s, '\\')) {
    _cleanup_json_ struct json_object *o = json_object_new_string(s);
    _cleanup_free_ char *text = json_text(o);
    buf_adds(out, text);
  } else if (!*s || needs_quotes(s)) {
    buf_addc(out, '\'');
    for (; *s; s++) {
      if (*s == '\'')
        buf_addc(out, '\'');
      buf_addc(out, *s);
    }
    buf_addc(out, '\'');
  } else {
    buf_adds(out, s);
  }
}

static void pad(struct buf *out, int indent) {
  for (int i = 0; i < indent; i++)
    buf_addc(out, ' ');
}

/* Writes O after "key:" or "-": scalars and empty collections on the same line, the rest below. */
static void write_value(struct buf *out, struct json_object *o, int indent, bool in_list);

static void write_object(struct buf *out, struct json_object *o, int indent, bool first_inline) {
  bool first = first_inline;

  json_object_object_foreach (o, key, v) {
    if (!first)
      pad(out, indent);
    first = false;
    write_string(out, key);
    buf_addc(out, ':');
    write_value(out, v, indent, false);
  }
}

static void write_array(struct buf *out, struct json_object *o, int indent) {
  for (size_t i = 0; i < json_len(o); i++) {
    pad(out, indent);
    buf_addc(out, '-');
    write_value(out, json_index(o, i), indent, true);
  }
}

static void write_value(struct buf *out, struct json_object *o, int indent, bool in_list) {
  if (json_is(o, json_type_object) && !json_empty(o)) {
    buf_addc(out, in_list ? ' ' : '\n');
    write_object(out, o, indent + 2, in_list);
    return;
  }
  if (json_is(o, json_type_array) && !json_empty(o)) {
    buf_addc(out, '\n');
    write_array(out, o, in_list ? indent + 2 : indent);
    return;
  }
  buf_addc(out, ' ');
  if (json_is(o, json_type_string)) {
    write_string(out, json_object_get_string(o));
  } else {
    _cleanup_free_ char *text = json_text(o);
    buf_adds(out, text);
  }
  buf_addc(out, '\n');
}

void yaml_write(struct buf *out, struct json_object *o) {
  if (json_is(o, json_type_object) && !json_empty(o))
    write_object(out, o, 0, false);
  else if (json_is(o, json_type_array) && !json_empty(o))
    write_array(out, o, 0);
  else {
    _cleanup_free_ char *text = json_text(o);
    buf_adds(out, text);
    buf_addc(out, '\n');
  }
}
