#include "tokens/normalize.h"

#include "base/regex.h"
#include "base/str.h"
#include "tokens/bytes.h"
#include "tokens/charsmap.h"

#include <string.h>
#include <utf8proc.h>

#define REGEX_STEPS 100000u /* of a match: on texts of a few MiB many are made */

struct normal_kind {
  const char *name;
  int32_t (*read)(struct normal_step *s, struct json_object *o, struct ome_err *err); /* NULL: has no settings */
  int32_t (*run)(const struct normal_step *s, const char *text, size_t len, struct buf *out, struct ome_err *err);
};

struct normal_step {
  const struct normal_kind *kind;
  char *from, *to;
  struct regex *re;
  struct charsmap *map;
  bool left, right; /* Strip */
};

/* ---- Unicode's forms --------------------------------------------------------------------------------------------- */

static int32_t map_utf8(const char *text, size_t len, int options, struct buf *out, struct ome_err *err) {
  utf8proc_uint8_t *mapped = NULL;
  utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &mapped,
                                    (utf8proc_option_t)(options | UTF8PROC_STABLE));

  if (n < 0)
    return fail(err, OME_E_INVALID, "normalizer: %s", utf8proc_errmsg(n));
  buf_add(out, mapped, (size_t)n);
  free(mapped);
  return OME_OK;
}

static int32_t run_form(const struct normal_step *s, const char *text, size_t len, struct buf *out,
                        struct ome_err *err) {
  bool composed = s->kind->name[2] == 'C' || s->kind->name[3] == 'C';
  int options = composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;

  return map_utf8(text, len, options | (s->kind->name[2] == 'K' ? UTF8PROC_COMPAT : 0), out, err);
}

/* ---- character by character -------------------------------------------------------------------------------------- */

static int32_t run_lowercase(const struct normal_step *s, const char *text, size_t len, struct buf *out,
                             struct ome_err *err) {
  (void)s, (void)err;
  for (const char *p = text, *end = text + len; p < end;) {
    int32_t c;
    utf8proc_uint8_t bytes[4];
    p += character_at(p, end, &c);
    buf_add(out, bytes, (size_t)utf8proc_encode_char(utf8proc_tolower(c), bytes));
  }
  return OME_OK;
}

static int32_t run_strip_accents(const struct normal_step *s, const char *text, size_t len, struct buf *out,
                                 struct ome_err *err) {
  (void)s, (void)err;
  for (const char *p = text, *end = text + len; p < end;) {
    int32_t c;
    size_t n = character_at(p, end, &c);
    utf8proc_category_t kind = utf8proc_category(c);
    if (kind < UTF8PROC_CATEGORY_MN || kind > UTF8PROC_CATEGORY_ME)
      buf_add(out, p, n);
    p += n;
  }
  return OME_OK;
}

static int32_t run_byte_level(const struct normal_step *s, const char *text, size_t len, struct buf *out,
                              struct ome_err *err) {
  (void)s, (void)err;
  add_byte_level(text, len, out);
  return OME_OK;
}

/* ---- Strip ------------------------------------------------------------------------------------------------------- */

static int32_t read_strip(struct normal_step *s, struct json_object *o, struct ome_err *err) {
  (void)err;
  s->left = json_flag(o, "strip_left", true);
  s->right = json_flag(o, "strip_right", true);
  return OME_OK;
}

static int32_t run_strip(const struct normal_step *s, const char *text, size_t len, struct buf *out,
                         struct ome_err *err) {
  const char *end = text + len, *last = text;
  int32_t c;

  (void)err;
  while (s->left && text < end) {
    size_t n = character_at(text, end, &c);
    if (!is_white(c))
      break;
    text += n;
  }
  for (const char *p = last = text; p < end;) {
    p += character_at(p, end, &c);
    last = is_white(c) ? last : p;
  }
  buf_add(out, text, (size_t)((s->right ? last : end) - text));
  return OME_OK;
}

/* ---- Prepend, Replace, Precompiled ------------------------------------------------------------------------------- */

static int32_t read_prepend(struct normal_step *s, struct json_object *o, struct ome_err *err) {
  s->to = strdup(json_str(o, "prepend", ""));
  return s->to ? OME_OK : fail_memory(err);
}

static int32_t run_prepend(const struct normal_step *s, const char *text, size_t len, struct buf *out,
                           struct ome_err *err) {
  (void)err;
  if (len)
    buf_adds(out, s->to);
  buf_add(out, text, len);
  return OME_OK;
}

int32_t pattern_read(struct json_object *o, char **literal, struct regex **re, struct ome_err *err) {
  const char *string = json_str(o, "pattern.String", NULL);
  const char *regex = json_str(o, "pattern.Regex", NULL);

  if (string && *string) {
    *literal = strdup(string);
    return *literal ? OME_OK : fail_memory(err);
  }
  if (!regex)
    return fail(err, OME_E_INVALID, "pattern: has neither String nor Regex");
  if (strstr(regex, "&&"))
    return fail(err, OME_E_UNSUPPORTED, "pattern: %.80s: intersections of classes (&&) are not understood", regex);
  int32_t rc = regex_new_unicode(regex, strlen(regex), re, err);
  if (rc == OME_OK)
    regex_limit(*re, REGEX_STEPS);
  return rc == OME_OK ? OME_OK : fail_prefix(err, "pattern: %.80s", regex);
}

static int32_t read_replace(struct normal_step *s, struct json_object *o, struct ome_err *err) {
  s->to = strdup(json_str(o, "content", ""));
  return s->to ? pattern_read(o, &s->from, &s->re, err) : fail_memory(err);
}

struct replacing {
  const char *text, *to;
  size_t at;
  struct buf *out;
};

static void replace_match(void *arg, size_t begin, size_t end) {
  struct replacing *r = arg;

  buf_add(r->out, r->text + r->at, begin - r->at);
  buf_adds(r->out, r->to);
  r->at = end;
}

static int32_t run_replace(const struct normal_step *s, const char *text, size_t len, struct buf *out,
                           struct ome_err *err) {
  struct replacing r = {.text = text, .to = s->to, .out = out};
  int32_t rc = OME_OK;

  if (s->re) {
    rc = regex_each(s->re, text, len, replace_match, &r, err);
  } else {
    size_t n = strlen(s->from);
    for (const char *p; (p = memmem(text + r.at, len - r.at, s->from, n));)
      replace_match(&r, (size_t)(p - text), (size_t)(p - text) + n);
  }
  buf_add(out, text + r.at, len - r.at);
  return rc;
}

static int32_t read_precompiled(struct normal_step *s, struct json_object *o, struct ome_err *err) {
  return charsmap_new(json_str(o, "precompiled_charsmap", ""), &s->map, err);
}

static int32_t run_precompiled(const struct normal_step *s, const char *text, size_t len, struct buf *out,
                               struct ome_err *err) {
  (void)err;
  charsmap_run(s->map, text, len, out);
  return OME_OK;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static const struct normal_kind kinds[] = {
    {"NFC", NULL, run_form},
    {"NFD", NULL, run_form},
    {"NFKC", NULL, run_form},
    {"NFKD", NULL, run_form},
    {"Lowercase", NULL, run_lowercase},
    {"StripAccents", NULL, run_strip_accents},
    {"Strip", read_strip, run_strip},
    {"Prepend", read_prepend, run_prepend},
    {"Replace", read_replace, run_replace},
    {"Precompiled", read_precompiled, run_precompiled},
    {"ByteLevel", NULL, run_byte_level},
};

static const struct normal_kind *find_kind(const char *name) {
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
    if (streq(kinds[i].name, name))
      return &kinds[i];
  return NULL;
}

static int32_t read_sequence(struct json_object *all, struct normalizer *out, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; i < json_len(all) && rc == OME_OK; i++)
    rc = normalizer_read(json_index(all, i), out, err);
  return rc;
}

int32_t normalizer_read(struct json_object *o, struct normalizer *out, struct ome_err *err) {
  const char *type = json_str(o, "type", "");

  if (!o)
    return OME_OK;
  if (streq(type, "Sequence"))
    return read_sequence(json_get(o, "normalizers"), out, err);
  const struct normal_kind *kind = find_kind(type);
  if (!kind)
    return fail(err, OME_E_UNSUPPORTED, "normalizer: %.40s is not understood", *type ? type : "one without a type");
  struct normal_step *s = calloc(1, sizeof(*s));
  if (!s || !VEC_PUSH(&out->steps, s)) {
    free(s);
    return fail_memory(err);
  }
  s->kind = kind;
  if (kind->read && kind->read(s, o, err) != OME_OK)
    return fail_prefix(err, "normalizer: %s", type);
  return OME_OK;
}

void normalizer_fini(struct normalizer *n) {
  for (size_t i = 0; i < n->steps.len; i++) {
    struct normal_step *s = n->steps.items[i];
    free(s->from);
    free(s->to);
    regex_free(s->re);
    charsmap_free(s->map);
    free(s);
  }
  VEC_FREE(&n->steps);
}

int32_t normalizer_run(const struct normalizer *n, struct buf *text, struct buf *scratch, struct ome_err *err) {
  for (size_t i = 0; i < n->steps.len; i++) {
    const struct normal_step *s = n->steps.items[i];
    buf_clear(scratch);
    int32_t rc = s->kind->run(s, buf_str(text), text->len, scratch, err);
    if (rc != OME_OK)
      return rc;
    if (!buf_ok(scratch))
      return fail(err, OME_E_INVALID, "normalizer: %s makes the text too long", s->kind->name);
    struct buf done = *scratch;
    *scratch = *text;
    *text = done;
  }
  return OME_OK;
}
