#include "tokens/presplit.h"

#include "base/regex.h"
#include "base/str.h"
#include "tokens/bytes.h"
#include "tokens/normalize.h"
#include "tokens/split.h"

#include <string.h>

/* How GPT-2 cuts, and most byte-level models that say nothing else. */
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define WORD "[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200c}\\x{200d}]" /* what Unicode says \w is */
#define PUNCTUATION "[\\p{P}$+<=>^`|~]"

struct presplit_kind {
  const char *name;
  int32_t (*read)(struct presplit_step *s, struct json_object *o, struct ome_err *err);
  int32_t (*run)(const struct presplit_step *s, const char *text, size_t len, bool begins, struct pieces *out,
                 struct ome_err *err);
};

enum prepend { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct presplit_step {
  const struct presplit_kind *kind;
  struct splitter splitter; /* of all kinds that cut; of none when it has neither literal nor expression */
  enum prepend prepend;     /* Metaspace; ByteLevel: always or never */
  char *space;              /* Metaspace: what a space becomes */
};

static int32_t set_regex(struct presplit_step *s, const char *pattern, enum split_behavior b, bool invert,
                         struct ome_err *err) {
  s->splitter.behavior = b;
  s->splitter.invert = invert;
  return regex_new_unicode(pattern, strlen(pattern), &s->splitter.re, err);
}

static int32_t read_behavior(struct presplit_step *s, const char *name, struct ome_err *err) {
  if (split_behavior_find(name, &s->splitter.behavior))
    return OME_OK;
  return fail(err, OME_E_UNSUPPORTED, "behavior: %.40s is not understood", name);
}

static int32_t run_split(const struct presplit_step *s, const char *text, size_t len, bool begins, struct pieces *out,
                         struct ome_err *err) {
  (void)begins;
  return split_text(&s->splitter, text, len, out, err);
}

/* ---- kinds that only cut ----------------------------------------------------------------------------------------- */

static int32_t read_split(struct presplit_step *s, struct json_object *o, struct ome_err *err) {
  int32_t rc = pattern_read(o, &s->splitter.literal, &s->splitter.re, err);

  s->splitter.invert = json_flag(o, "invert", false);
  return rc == OME_OK ? read_behavior(s, json_str(o, "behavior", ""), err) : rc;
}

static int32_t read_digits(struct presplit_step *s, struct json_object *o, struct ome_err *err) {
  bool each = json_flag(o, "individual_digits", false);

  return set_regex(s, "\\p{N}", each ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, false, err);
}

static int32_t read_punctuation(struct presplit_step *s, struct json_object *o, struct ome_err *err) {
  int32_t rc = set_regex(s, PUNCTUATION, SPLIT_ISOLATED, false, err);

  return rc == OME_OK ? read_behavior(s, json_str(o, "behavior", "Isolated"), err) : rc;
}

static int32_t read_whitespace(struct presplit_step *s, struct json_object *o, struct ome_err *err) {
  (void)o;
  return set_regex(s, WORD "+|(?:(?!" WORD ")\\S)+", SPLIT_REMOVED, true, err);
}

static int32_t read_whitespace_split(struct presplit_step *s, struct json_object *o, struct ome_err *err) {
  (void)o;
  return set_regex(s, "\\s", SPLIT_REMOVED, false, err);
}

static int32_t read_delimiter(struct presplit_step *s, struct json_object *o, struct ome_err *err) {
  s->splitter.literal = strdup(json_str(o, "delimiter", ""));
  s->splitter.behavior = SPLIT_REMOVED;
  if (!s->splitter.literal)
    return fail_memory(err);
  return *s->splitter.literal ? OME_OK : fail(err, OME_E_INVALID, "delimiter: is missing");
}

/* ---- ByteLevel --------------------------------------------------------------------------------------------------- */

static int32_t read_byte_level(struct presplit_step *s, struct json_object *o, struct ome_err *err) {
  s->prepend = json_flag(o, "add_prefix_space", true) ? PREPEND_ALWAYS : PREPEND_NEVER;
  return json_flag(o, "use_regex", true) ? set_regex(s, GPT2, SPLIT_ISOLATED, false, err) : OME_OK;
}

static int32_t run_byte_level(const struct presplit_step *s, const char *text, size_t len, bool begins,
                              struct pieces *out, struct ome_err *err) {
  _cleanup_buf_ struct buf spaced = BUF_INIT;
  struct pieces cut = {0};
  int32_t rc = OME_OK;

  (void)begins;
  if (s->prepend == PREPEND_ALWAYS && len && *text != ' ') {
    buf_addc(&spaced, ' ');
    buf_add(&spaced, text, len);
    text = buf_str(&spaced);
    len = spaced.len;
  }
  if (s->splitter.re)
    rc = split_text(&s->splitter, text, len, &cut, err);
  else
    pieces_add(&cut, text, len);
  for (size_t i = 0; i < cut.ends.len; i++) {
    size_t begin = i ? cut.ends.items[i - 1] : 0;
    add_byte_level(cut.text.data + begin, cut.ends.items[i] - begin, &out->text);
    pieces_end(out);
  }
  out->text.failed |= cut.text.failed || spaced.failed;
  pieces_fini(&cut);
  return rc;
}

/* ---- Metaspace --------------------------------------------------------------------------------------------------- */

static int32_t read_metaspace(struct presplit_step *s, struct json_object *o, struct ome_err *err) {
  const char *scheme = json_str(o, "prepend_scheme", NULL);

  if (!scheme)
    scheme = json_flag(o, "add_prefix_space", true) ? "always" : "never"; /* as older files have it */
  s->prepend = streq(scheme, "always") ? PREPEND_ALWAYS : streq(scheme, "first") ? PREPEND_FIRST : PREPEND_NEVER;
  s->space = strdup(json_str(o, "replacement", "\u2581"));
  s->splitter.behavior = SPLIT_MERGED_WITH_NEXT;
  if (json_flag(o, "split", true))
    s->splitter.literal = s->space ? strdup(s->space) : NULL;
  if (!s->space || (json_flag(o, "split", true) && !s->splitter.literal))
    return fail_memory(err);
  return *s->space ? OME_OK : fail(err, OME_E_INVALID, "replacement: is empty");
}

static int32_t run_metaspace(const struct presplit_step *s, const char *text, size_t len, bool begins,
                             struct pieces *out, struct ome_err *err) {
  _cleanup_buf_ struct buf spaced = BUF_INIT;
  bool wanted = s->prepend == PREPEND_ALWAYS || (s->prepend == PREPEND_FIRST && begins);
  size_t sign = strlen(s->space);

  if (wanted && *text != ' ' && !(len >= sign && memcmp(text, s->space, sign) == 0))
    buf_adds(&spaced, s->space);
  for (size_t i = 0; i < len; i++) {
    if (text[i] == ' ')
      buf_adds(&spaced, s->space);
    else
      buf_addc(&spaced, text[i]);
  }
  out->text.failed |= !buf_ok(&spaced);
  if (s->splitter.literal)
    return split_text(&s->splitter, buf_str(&spaced), spaced.len, out, err);
  pieces_add(out, buf_str(&spaced), spaced.len);
  return OME_OK;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static const struct presplit_kind kinds[] = {
    {"ByteLevel", read_byte_level, run_byte_level},
    {"Metaspace", read_metaspace, run_metaspace},
    {"Split", read_split, run_split},
    {"Digits", read_digits, run_split},
    {"Punctuation", read_punctuation, run_split},
    {"Whitespace", read_whitespace, run_split},
    {"WhitespaceSplit", read_whitespace_split, run_split},
    {"CharDelimiterSplit", read_delimiter, run_split},
};

static const struct presplit_kind *find_kind(const char *name) {
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
    if (streq(kinds[i].name, name))
      return &kinds[i];
  return NULL;
}

static int32_t read_sequence(struct json_object *all, struct presplitter *out, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; i < json_len(all) && rc == OME_OK; i++)
    rc = presplitter_read(json_index(all, i), out, err);
  return rc;
}

int32_t presplitter_read(struct json_object *o, struct presplitter *out, struct ome_err *err) {
  const char *type = json_str(o, "type", "");

  if (!o)
    return OME_OK;
  if (streq(type, "Sequence"))
    return read_sequence(json_get(o, "pretokenizers"), out, err);
  const struct presplit_kind *kind = find_kind(type);
  if (!kind)
    return fail(err, OME_E_UNSUPPORTED, "pre_tokenizer: %.40s is not understood", *type ? type : "one without a type");
  struct presplit_step *s = calloc(1, sizeof(*s));
  if (!s || !VEC_PUSH(&out->steps, s)) {
    free(s);
    return fail_memory(err);
  }
  s->kind = kind;
  return kind->read(s, o, err) == OME_OK ? OME_OK : fail_prefix(err, "pre_tokenizer: %s", type);
}

void presplitter_fini(struct presplitter *p) {
  for (size_t i = 0; i < p->steps.len; i++) {
    struct presplit_step *s = p->steps.items[i];
    splitter_fini(&s->splitter);
    free(s->space);
    free(s);
  }
  VEC_FREE(&p->steps);
}

int32_t presplitter_run(const struct presplitter *p, bool begins, struct pieces *in, struct pieces *scratch,
                        struct ome_err *err) {
  for (size_t i = 0; i < p->steps.len; i++) {
    const struct presplit_step *s = p->steps.items[i];
    pieces_clear(scratch);
    for (size_t j = 0; j < in->ends.len; j++) {
      size_t begin = j ? in->ends.items[j - 1] : 0;
      int32_t rc = s->kind->run(s, in->text.data + begin, in->ends.items[j] - begin, begins && j == 0, scratch, err);
      if (rc != OME_OK)
        return rc;
    }
    if (!buf_ok(&scratch->text))
      return fail(err, OME_E_INVALID, "pre_tokenizer: %s makes the text too long", s->kind->name);
    struct pieces done = *scratch;
    *scratch = *in;
    *in = done;
  }
  return OME_OK;
}
