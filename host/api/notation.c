#include "api/notation.h"

#include "base/log.h"
#include "base/str.h"

#include <ctype.h>
#include <string.h>

#define WORDS 16
#define RULE "  rule "

/* One "type" or "kind" of the texts; its schema is made when first asked for. */
struct item {
  char *words[WORDS]; /* of its line, NULL-terminated; one allocation */
  const char *body;   /* the line after it */
  bool is_kind, preserve, making;
  struct schema *schema;
  const char *group; /* of a kind, once it was asked for */
};

struct notation {
  struct schema_doc *doc;
  VEC(struct item) items;
};

static _Noreturn void broken(const char *what, const char *where) {
  log_error("schema", "%s: \"%.*s\"", what, (int)strcspn(where, "\n"), where);
  abort();
}

static void *need(void *p) {
  if (!p)
    abort(); /* out of memory while the server starts */
  return p;
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static const char *next_line(const char *p) {
  p += strcspn(p, "\n");
  return *p ? p + 1 : p;
}

/* Splits the line at P into words; brackets keep what they hold together; "=" and "--" end them. */
static void split_words(const char *p, char *words[WORDS]) {
  p += strspn(p, " ");
  char *copy = need(str_copy(p, strcspn(p, "\n"))); /* words[0] is where it starts */
  size_t n = 0;
  int depth = 0;

  for (char *c = copy; *c && n + 1 < WORDS; c += strspn(c, " ")) {
    words[n++] = c;
    for (; *c && (*c != ' ' || depth); c++)
      depth += (*c == '(') - (*c == ')');
    if (*c)
      *c++ = '\0';
  }
  words[n] = NULL;
  if (n == 0)
    free(copy);
}

static void free_words(char *words[WORDS]) {
  free(words[0]);
}

static struct item *find_type(struct notation *n, const char *name, size_t len) {
  for (size_t i = 0; i < n->items.len; i++) {
    struct item *item = &n->items.items[i];
    if (!item->is_kind && strlen(item->words[1]) == len && memcmp(item->words[1], name, len) == 0)
      return item;
  }
  return NULL;
}

struct notation *notation_new(const char *const *texts) {
  struct notation *n = need(calloc(1, sizeof(*n)));

  n->doc = need(schema_doc_new());
  for (; *texts; texts++) {
    bool preserve = false;
    for (const char *p = *texts; *p; p = next_line(p)) {
      struct item item = {.body = next_line(p)};
      if (has_prefix(p, "preserve"))
        preserve = true;
      if (!has_prefix(p, "type ") && !has_prefix(p, "kind "))
        continue;
      item.is_kind = *p == 'k';
      item.preserve = preserve;
      split_words(p, item.words);
      if (!item.is_kind && find_type(n, item.words[1], strlen(item.words[1])))
        broken("a second type of this name", item.words[1]);
      if (!VEC_PUSH(&n->items, item))
        abort();
    }
  }
  return n;
}

/* ---- types ------------------------------------------------------------------------------------------------------ */

static struct schema *new_schema(struct notation *n, enum schema_type type) {
  struct schema *s = need(schema_alloc(n->doc, sizeof(*s)));

  s->type = type;
  s->min_length = s->max_length = -1;
  return s;
}

static const struct {
  const char *name;
  enum schema_type type;
  const char *format;
} scalars[] = {
    {"string", SCHEMA_STRING, NULL},
    {"bool", SCHEMA_BOOLEAN, NULL},
    {"int", SCHEMA_INTEGER, NULL},
    {"int32", SCHEMA_INTEGER, "int32"},
    {"int64", SCHEMA_INTEGER, "int64"},
    {"number", SCHEMA_NUMBER, NULL},
    {"time", SCHEMA_STRING, "date-time"},
    {"microtime", SCHEMA_STRING, "date-time"},
    {"bytes", SCHEMA_STRING, "byte"},
    {"quantity", SCHEMA_INT_OR_STRING, "quantity"},
    {"intorstr", SCHEMA_INT_OR_STRING, NULL},
    {"any", SCHEMA_ANY, NULL},
    {"object", SCHEMA_OBJECT, NULL},
};

static const struct schema *resolve(struct notation *n, const char *name, size_t len);
static void fill(struct notation *n, struct item *item);

static const struct schema *resolve_name(struct notation *n, const char *name, size_t len) {
  for (size_t i = 0; i < ARRAY_LEN(scalars); i++) {
    if (strlen(scalars[i].name) != len || memcmp(scalars[i].name, name, len) != 0)
      continue;
    struct schema *s = new_schema(n, scalars[i].type);
    s->format = scalars[i].format;
    s->preserve_unknown = scalars[i].type == SCHEMA_ANY || scalars[i].type == SCHEMA_OBJECT;
    return s;
  }
  struct item *item = find_type(n, name, len);
  if (!item)
    broken("unknown type", name);
  fill(n, item);
  return item->schema;
}

/* "[T]", "{T}" or a name of LEN characters. */
static const struct schema *resolve(struct notation *n, const char *name, size_t len) {
  if (*name != '[' && *name != '{')
    return resolve_name(n, name, len);
  struct schema *s = new_schema(n, *name == '[' ? SCHEMA_ARRAY : SCHEMA_OBJECT);
  const struct schema *inner = resolve(n, name + 1, len - 2);
  if (*name == '[')
    s->items = inner;
  else
    s->additional = inner;
  return s;
}

/* ---- attributes ------------------------------------------------------------------------------------------------- */

/* What stands in "name(...)"; a copy that lives as long as the document. */
static char *inside(struct notation *n, const char *word) {
  const char *open = strchr(word, '(');
  size_t len = strlen(open + 1) - 1;
  _cleanup_free_ char *text = need(str_copy(open + 1, len));

  return need(schema_strdup(n->doc, text));
}

static const char *const *split_list(struct notation *n, char *text, char sep) {
  const char **out = need(schema_alloc(n->doc, 32 * sizeof(*out)));
  size_t count = 0;

  for (char *p = text; p && count < 31;) {
    char *end = strchr(p, sep);
    if (end)
      *end = '\0';
    out[count++] = p;
    p = end ? end + 1 : NULL;
  }
  return out;
}

static void set_enum(struct notation *n, struct schema *s, char *text) {
  struct json_object *list = json_object_new_array();

  for (const char *const *v = split_list(n, text, '|'); *v; v++)
    (void)json_add_str(list, streq(*v, "\"\"") ? "" : *v);
  s->enumeration = need(schema_keep(n->doc, list));
}

/* What the lists and maps of S hold; made for this field alone when it is a scalar. */
static struct schema *innermost(struct schema *s) {
  while (s->items || s->additional)
    s = (struct schema *)(uintptr_t)(s->items ? s->items : s->additional);
  return s;
}

static void set_keys(struct notation *n, struct schema *s, char *text) {
  s->list_type = SCHEMA_LIST_MAP;
  s->list_map_keys = split_list(n, text, ',');
}

static void set_merge_key(UNUSED struct notation *n, struct schema *s, char *text) {
  s->patch_merge = true;
  s->patch_merge_key = text;
}

static void set_inner_enum(struct notation *n, struct schema *s, char *text) {
  set_enum(n, innermost(s), text);
}

static void set_min(UNUSED struct notation *n, struct schema *s, char *text) {
  innermost(s)->minimum = strtod(text, NULL);
  innermost(s)->has_minimum = true;
}

static void set_max(UNUSED struct notation *n, struct schema *s, char *text) {
  innermost(s)->maximum = strtod(text, NULL);
  innermost(s)->has_maximum = true;
}

static void set_minlen(UNUSED struct notation *n, struct schema *s, char *text) {
  innermost(s)->min_length = strtoll(text, NULL, 10);
}

static void set_pattern(UNUSED struct notation *n, struct schema *s, char *text) {
  innermost(s)->pattern = text;
}

static void set_set(UNUSED struct notation *n, struct schema *s, UNUSED char *text) {
  s->list_type = SCHEMA_LIST_SET;
}

static void set_merge(UNUSED struct notation *n, struct schema *s, UNUSED char *text) {
  s->patch_merge = true;
}

static void set_atomic(UNUSED struct notation *n, struct schema *s, UNUSED char *text) {
  s->map_atomic = true;
}

static void set_retain(UNUSED struct notation *n, struct schema *s, UNUSED char *text) {
  s->patch_retain_keys = true;
}

static void set_nullable(UNUSED struct notation *n, struct schema *s, UNUSED char *text) {
  s->nullable = true;
}

static const struct {
  const char *word; /* "map(" takes what stands up to ")" */
  void (*set)(struct notation *n, struct schema *s, char *text);
} attributes[] = {
    {"map(", set_keys},   {"patch(", set_merge_key}, {"enum(", set_inner_enum}, {"min(", set_min},
    {"max(", set_max},    {"minlen(", set_minlen},   {"pattern(", set_pattern}, {"set", set_set},
    {"patch", set_merge}, {"atomic", set_atomic},    {"retain", set_retain},    {"nullable", set_nullable},
};

static void apply_attribute(struct notation *n, struct schema *s, const char *word) {
  for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
    bool takes_text = has_suffix(attributes[i].word, "(");
    if (takes_text ? !has_prefix(word, attributes[i].word) : !streq(word, attributes[i].word))
      continue;
    attributes[i].set(n, s, takes_text ? inside(n, word) : NULL);
    return;
  }
  broken("unknown attribute", word);
}

static void set_default(struct notation *n, struct schema *s, const char *line) {
  const char *equals = strstr(line, " = ");
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (!equals || equals > line + strcspn(line, "\n"))
    return;
  const char *text = equals + 3;
  size_t len = strcspn(text, "\n");
  const char *doc = strstr(text, " -- ");
  if (doc && doc < text + len)
    len = (size_t)(doc - text);
  if (json_parse(text, len, 0, &o, &err) != OME_OK)
    broken("default is not JSON", line);
  s->dflt = need(schema_keep(n->doc, o));
}

static void set_description(struct notation *n, struct schema *s, const char *line) {
  const char *doc = strstr(line, " -- ");

  if (doc && doc < line + strcspn(line, "\n")) {
    _cleanup_free_ char *text = need(str_copy(doc + 4, strcspn(doc + 4, "\n")));
    s->description = need(schema_strdup(n->doc, text));
  }
}

/* ---- fields ----------------------------------------------------------------------------------------------------- */

static bool is_field(const char *line) {
  return has_prefix(line, "  ") && line[2] != ' ' && !has_prefix(line, "  column ") && !has_prefix(line, RULE);
}

/* The schema of a field: its type's, or a copy with the attributes of the line. */
static const struct schema *field_schema(struct notation *n, char **words, const char *line) {
  const struct schema *type = resolve(n, words[1], strlen(words[1]));
  bool plain = !words[2] || streq(words[2], "--");

  if (plain && !(words[2] && streq(words[2], "--")))
    return type;
  struct schema *s = need(schema_alloc(n->doc, sizeof(*s)));
  *s = *type;
  for (size_t i = 2; words[i] && !streq(words[i], "=") && !streq(words[i], "--"); i++)
    apply_attribute(n, s, words[i]);
  set_default(n, s, line);
  set_description(n, s, line);
  return s;
}

static size_t count_fields(const char *body) {
  size_t n = 0;

  for (const char *p = body; has_prefix(p, "  ") || *p == '#'; p = next_line(p))
    n += is_field(p);
  return n;
}

/* Reads the fields below ITEM into S. */
static void read_fields(struct notation *n, const struct item *item, struct schema *s) {
  size_t count = count_fields(item->body);
  struct schema_property *properties = need(schema_alloc(n->doc, (count + 3) * sizeof(*properties)));
  const char **required = need(schema_alloc(n->doc, (count + 1) * sizeof(*required)));
  size_t k = 0;
  size_t r = 0;

  for (const char *p = item->body; has_prefix(p, "  ") || *p == '#'; p = next_line(p)) {
    char *words[WORDS];
    if (!is_field(p))
      continue;
    split_words(p, words);
    size_t len = strlen(words[0]);
    bool must = words[0][len - 1] == '!';
    words[0][len - must] = '\0';
    properties[k].name = need(schema_strdup(n->doc, words[0]));
    properties[k].schema = field_schema(n, words, p);
    if (must)
      required[r++] = properties[k].name;
    k++;
    free_words(words);
  }
  schema_sort(properties, k);
  s->properties = properties;
  s->nproperties = k;
  s->required = r ? required : NULL;
}

/* Reads the rules below ITEM into S. */
static void read_rules(struct notation *n, const struct item *item, struct schema *s) {
  struct json_object *list = NULL;

  for (const char *p = item->body; has_prefix(p, "  ") || *p == '#'; p = next_line(p)) {
    if (!has_prefix(p, RULE))
      continue;
    const char *rule = p + strlen(RULE), *end = p + strcspn(p, "\n"), *why = strstr(p, " -- ");
    if (!why || why > end)
      broken("a rule that does not say why", p);
    _cleanup_free_ char *expression = need(str_copy(rule, (size_t)(why - rule)));
    _cleanup_free_ char *message = need(str_copy(why + 4, (size_t)(end - why - 4)));
    list = need(list ? list : json_object_new_array());
    struct json_object *o = need(json_add_object(list));
    (void)json_set_str(o, "rule", expression);
    (void)json_set_str(o, "message", message);
  }
  s->validations = list ? need(schema_keep(n->doc, list)) : NULL;
}

static void fill(struct notation *n, struct item *item) {
  if (item->schema)
    return;
  if (item->making)
    broken("a type within itself", item->words[1]);
  item->making = true;
  struct schema *s = new_schema(n, SCHEMA_OBJECT);
  s->preserve_unknown = item->preserve;
  for (size_t i = 2; !item->is_kind && item->words[i]; i++) {
    s->preserve_unknown = s->preserve_unknown || streq(item->words[i], "preserve");
    s->map_atomic = s->map_atomic || streq(item->words[i], "atomic");
    if (has_prefix(item->words[i], "like("))
      s->like = resolve_name(n, item->words[i] + 5, strlen(item->words[i]) - 6);
  }
  read_fields(n, item, s);
  read_rules(n, item, s);
  item->schema = s;
  item->making = false;
}

/* ---- kinds ------------------------------------------------------------------------------------------------------ */

/* apiVersion, kind and metadata in front of the fields. */
static const struct schema *kind_schema(struct notation *n, struct item *item) {
  if (item->schema)
    return item->schema;
  fill(n, item);
  struct schema *s = item->schema;
  struct schema_property *all = need(schema_alloc(n->doc, (s->nproperties + 3) * sizeof(*all)));
  memcpy(all, s->properties, s->nproperties * sizeof(*all));
  all[s->nproperties++] = (struct schema_property){"apiVersion", new_schema(n, SCHEMA_STRING)};
  all[s->nproperties++] = (struct schema_property){"kind", new_schema(n, SCHEMA_STRING)};
  /* A CRD may say no more of metadata than its type. */
  const struct schema *metadata = item->words[3] ? new_schema(n, SCHEMA_OBJECT) : resolve_name(n, "ObjectMeta", 10);
  all[s->nproperties++] = (struct schema_property){"metadata", metadata};
  schema_sort(all, s->nproperties);
  s->properties = all;
  s->preserve_unknown = false;
  return s;
}

static const char *first_column(const char *body) {
  const char *p = body;

  while (has_prefix(p, "  ") && !has_prefix(p, "  column "))
    p = next_line(p);
  return has_prefix(p, "  column ") ? p : NULL;
}

static void describe(struct notation *n, struct item *item, struct notation_kind *out) {
  char *slash = strchr(item->words[1], '/');
  static const char empty[] = "";

  *out = (struct notation_kind){.group = empty,
                                .version = item->words[1],
                                .kind = item->words[2],
                                .plural = empty,
                                .scope = empty,
                                .short_names = empty};
  if (slash) {
    if (!item->group) {
      _cleanup_free_ char *group = need(str_copy(item->words[1], (size_t)(slash - item->words[1])));
      item->group = need(schema_strdup(n->doc, group));
    }
    out->group = item->group;
    out->version = slash + 1;
  }
  if (item->words[3]) {
    out->plural = item->words[3];
    out->scope = item->words[4];
    if (item->words[5])
      out->short_names = inside(n, item->words[5]);
  }
  out->schema = kind_schema(n, item);
  out->columns = first_column(item->body);
}

static bool is_kind(const struct item *item, const char *group, const char *version, const char *kind) {
  size_t n = strlen(group);
  const char *place = item->words[1];

  if (!item->is_kind || !streq(item->words[2], kind))
    return false;
  return n ? strncmp(place, group, n) == 0 && place[n] == '/' && streq(place + n + 1, version) : streq(place, version);
}

bool notation_find(struct notation *n, const char *group, const char *version, const char *kind,
                   struct notation_kind *out) {
  for (size_t i = 0; i < n->items.len; i++)
    if (is_kind(&n->items.items[i], group, version, kind)) {
      describe(n, &n->items.items[i], out);
      return true;
    }
  return false;
}

bool notation_crd(struct notation *n, size_t index, struct notation_kind *out) {
  for (size_t i = 0; i < n->items.len; i++)
    if (n->items.items[i].is_kind && n->items.items[i].words[3] && index-- == 0) {
      describe(n, &n->items.items[i], out);
      return true;
    }
  return false;
}
