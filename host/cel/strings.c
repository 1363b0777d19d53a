/* Strings, regular expressions, durations and timestamps: the standard library and Kubernetes' extensions.  Positions
 * count characters (code points), as CEL does. */
#include "cel/library.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/regex.h"
#include "base/str.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CALL(name) static struct cel_value name(struct eval *e, const struct cel_value *a)
#define SECOND INT64_C(1000000000)

struct cel_value library_text(struct eval *e, enum cel_kind kind, const char *text, size_t len) {
  const char *kept = eval_step(e, len / 16) ? arena_copy(&e->arena, text, len) : NULL;

  return kept ? value_text(kind, kept, len) : value_error(e, "the expression does too much work");
}

struct cel_value library_concatenate(struct eval *e, const struct cel_value *a) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  buf_add(&b, a[0].text.ptr, a[0].text.len);
  buf_add(&b, a[1].text.ptr, a[1].text.len);
  return library_text(e, a[0].kind, buf_str(&b), b.len);
}

/* ---- characters -------------------------------------------------------------------------------------------------- */

static bool starts_character(char c) {
  return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t characters(const char *s, size_t len) {
  size_t n = 0;

  for (size_t i = 0; i < len; i++)
    n += starts_character(s[i]);
  return n;
}

/* The byte at which character N starts; the length at the end; SIZE_MAX beyond. */
static size_t byte_of(struct cel_text t, int64_t n) {
  size_t i = 0;

  if (n < 0)
    return SIZE_MAX;
  for (; i < t.len; i++)
    if (starts_character(t.ptr[i]) && n-- == 0)
      return i;
  return n == 0 ? t.len : SIZE_MAX;
}

static struct cel_value out_of_range(struct eval *e) {
  return value_error(e, "index out of range");
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

CALL(size_of_text) {
  return value_int((int64_t)(a[0].kind == CEL_STRING && eval_step(e, a[0].text.len / 16)
                                 ? characters(a[0].text.ptr, a[0].text.len)
                                 : a[0].text.len));
}

CALL(starts_with) {
  (void)e;
  return value_bool(a[0].text.len >= a[1].text.len && memcmp(a[0].text.ptr, a[1].text.ptr, a[1].text.len) == 0);
}

CALL(ends_with) {
  size_t n = a[1].text.len;

  (void)e;
  return value_bool(a[0].text.len >= n && memcmp(a[0].text.ptr + a[0].text.len - n, a[1].text.ptr, n) == 0);
}

CALL(contains) {
  (void)e;
  return value_bool(memmem(a[0].text.ptr, a[0].text.len, a[1].text.ptr, a[1].text.len) != NULL);
}

CALL(char_at) {
  size_t from = byte_of(a[0].text, a[1].i), to = byte_of(a[0].text, a[1].i + 1);

  if (from == SIZE_MAX)
    return out_of_range(e);
  return library_text(e, CEL_STRING, a[0].text.ptr + from, to == SIZE_MAX ? 0 : to - from);
}

static struct cel_value position(struct eval *e, const struct cel_value *a, int64_t start, bool last) {
  size_t from = byte_of(a[0].text, start), n = a[1].text.len, found = SIZE_MAX;
  const char *s = a[0].text.ptr;

  if (from == SIZE_MAX)
    return out_of_range(e);
  for (size_t i = last ? 0 : from; i + n <= a[0].text.len && (!last || i <= from); i++) {
    if (!starts_character(i < a[0].text.len ? s[i] : 'x') || memcmp(s + i, a[1].text.ptr, n) != 0)
      continue;
    found = i;
    if (!last)
      break;
  }
  return value_int(found == SIZE_MAX ? -1 : (int64_t)characters(s, found));
}

CALL(index_of) {
  return position(e, a, 0, false);
}

CALL(index_of_from) {
  return position(e, a, a[2].i, false);
}

CALL(last_index_of) {
  return position(e, a, (int64_t)characters(a[0].text.ptr, a[0].text.len), true);
}

static struct cel_value mapped(struct eval *e, const struct cel_value *v, int (*to)(int)) {
  struct cel_value out = library_text(e, CEL_STRING, v->text.ptr, v->text.len);
  char *s = arena_copy(&e->arena, v->text.ptr, v->text.len);

  if (out.kind == CEL_ERROR || !s)
    return out;
  for (size_t i = 0; i < v->text.len; i++)
    s[i] = (unsigned char)s[i] < 0x80 ? (char)to((unsigned char)s[i]) : s[i];
  out.text.ptr = s;
  return out;
}

CALL(lower) {
  return mapped(e, &a[0], tolower);
}

CALL(upper) {
  return mapped(e, &a[0], toupper);
}

static struct cel_value replaced(struct eval *e, const struct cel_value *a, int64_t limit) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  const char *s = a[0].text.ptr, *end = s + a[0].text.len;

  buf_init(&b, (size_t)1 << 20);
  while (s < end && limit != 0) {
    const char *hit = a[1].text.len ? memmem(s, (size_t)(end - s), a[1].text.ptr, a[1].text.len) : NULL;
    if (!hit)
      break;
    buf_add(&b, s, (size_t)(hit - s));
    buf_add(&b, a[2].text.ptr, a[2].text.len);
    s = hit + a[1].text.len;
    limit--;
  }
  buf_add(&b, s, (size_t)(end - s));
  return buf_ok(&b) ? library_text(e, CEL_STRING, buf_str(&b), b.len) : value_error(e, "the string becomes too long");
}

CALL(replace) {
  return replaced(e, a, -1);
}

CALL(replace_some) {
  return replaced(e, a, a[3].i);
}

struct pieces {
  struct cel_value *items;
  size_t n, cap;
};

static bool add_piece(struct eval *e, struct pieces *p, const char *s, size_t len) {
  if (p->n == p->cap) {
    size_t cap = p->cap ? p->cap * 2 : 8;
    struct cel_value *grown = arena_new(&e->arena, cap * sizeof(*grown));
    if (!grown)
      return false;
    if (p->n)
      memcpy(grown, p->items, p->n * sizeof(*grown));
    p->items = grown;
    p->cap = cap;
  }
  p->items[p->n] = library_text(e, CEL_STRING, s, len);
  return p->items[p->n++].kind != CEL_ERROR;
}

static struct cel_value list_of_pieces(const struct pieces *p) {
  return (struct cel_value){.kind = CEL_LIST, .seq = {.items = p->items, .n = p->n}};
}

/* At most LIMIT pieces; below 0: all. */
static struct cel_value split_text(struct eval *e, const struct cel_value *a, int64_t limit) {
  const char *s = a[0].text.ptr, *end = s + a[0].text.len;
  struct pieces p = {0};
  bool ok = true;

  while (ok && limit != 0) {
    const char *hit = NULL;
    if (limit != 1 && a[1].text.len)
      hit = memmem(s, (size_t)(end - s), a[1].text.ptr, a[1].text.len);
    else if (limit != 1 && s < end && s + 1 < end)
      for (hit = s + 1; hit < end && !starts_character(*hit); hit++)
        continue;
    if (hit == end && !a[1].text.len)
      hit = NULL;
    ok = add_piece(e, &p, s, hit ? (size_t)(hit - s) : (size_t)(end - s));
    if (!hit)
      break;
    s = hit + a[1].text.len;
    limit--;
  }
  return ok ? list_of_pieces(&p) : value_error(e, "the expression does too much work");
}

CALL(split) {
  return split_text(e, a, -1);
}

CALL(split_some) {
  return split_text(e, a, a[2].i);
}

static struct cel_value joined(struct eval *e, const struct cel_value *list, struct cel_text between) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  buf_init(&b, (size_t)1 << 20);
  for (size_t i = 0; i < value_size(list) && eval_step(e, 1); i++) {
    struct cel_value v = value_at(e, list, i);
    if (v.kind != CEL_STRING)
      return value_error(e, "join() of a %s", kind_name(v.kind));
    if (i)
      buf_add(&b, between.ptr, between.len);
    buf_add(&b, v.text.ptr, v.text.len);
  }
  return buf_ok(&b) ? library_text(e, CEL_STRING, buf_str(&b), b.len) : value_error(e, "the string becomes too long");
}

CALL(join) {
  return joined(e, &a[0], (struct cel_text){"", 0});
}

CALL(join_with) {
  return joined(e, &a[0], a[1].text);
}

static struct cel_value part(struct eval *e, const struct cel_value *v, int64_t from, int64_t to) {
  size_t begin = byte_of(v->text, from), end = to < 0 ? v->text.len : byte_of(v->text, to);

  if (begin == SIZE_MAX || end == SIZE_MAX || end < begin)
    return out_of_range(e);
  return library_text(e, CEL_STRING, v->text.ptr + begin, end - begin);
}

CALL(substring) {
  return part(e, &a[0], a[1].i, -1);
}

CALL(substring_to) {
  return a[2].i < 0 ? out_of_range(e) : part(e, &a[0], a[1].i, a[2].i);
}

CALL(trim) {
  const char *s = a[0].text.ptr;
  size_t len = a[0].text.len;

  while (len && isspace((unsigned char)*s)) {
    s++;
    len--;
  }
  while (len && isspace((unsigned char)s[len - 1]))
    len--;
  return library_text(e, CEL_STRING, s, len);
}

/* ---- regular expressions ----------------------------------------------------------------------------------------- */

/* The first LIMIT matches of a[1] in a[0] (below 0: all); without OUT only whether there is one. */
static struct cel_value find_matches(struct eval *e, const struct cel_value *a, int64_t limit, struct pieces *out) {
  _cleanup_(regex_freep) struct regex *re = NULL;
  struct ome_err err = ERR_INIT;
  size_t at = 0;
  bool found = false;
  int32_t rc = regex_new(a[1].text.ptr, a[1].text.len, &re, &err);

  while (rc == OME_OK && limit != 0 && at <= a[0].text.len && eval_step(e, 16)) {
    struct regex_match m;
    rc = regex_find(re, a[0].text.ptr, a[0].text.len, at, &m, &err);
    if (rc != OME_OK || !m.found)
      break;
    found = true;
    if (!out || !add_piece(e, out, a[0].text.ptr + m.begin, m.end - m.begin))
      break;
    at = m.end > m.begin ? m.end : m.end + 1;
    limit--;
  }
  return rc == OME_OK ? value_bool(found) : value_error(e, "%s", err.msg);
}

CALL(matches) {
  return find_matches(e, a, 1, NULL);
}

CALL(find) {
  struct pieces p = {0};
  struct cel_value v = find_matches(e, a, 1, &p);

  return v.kind == CEL_ERROR ? v : p.n ? p.items[0] : value_text(CEL_STRING, "", 0);
}

CALL(find_all) {
  struct pieces p = {0};
  struct cel_value v = find_matches(e, a, -1, &p);

  return v.kind == CEL_ERROR ? v : list_of_pieces(&p);
}

CALL(find_some) {
  struct pieces p = {0};
  struct cel_value v = find_matches(e, a, a[2].i, &p);

  return v.kind == CEL_ERROR ? v : list_of_pieces(&p);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *unit;
  int64_t ns;
} units[] = {{"ns", 1},     {"us", 1000},       {"\xc2\xb5s", 1000}, {"ms", 1000000},
             {"s", SECOND}, {"m", 60 * SECOND}, {"h", 3600 * SECOND}};

/* Go's notation of durations: "1h5m", "-1.5s". */
static bool parse_duration(const char *s, int64_t *out) {
  bool negative = *s == '-';
  long double sum = 0;

  s += *s == '-' || *s == '+';
  if (streq(s, "0")) {
    *out = 0;
    return true;
  }
  if (!*s)
    return false;
  while (*s) {
    char *end;
    size_t i = 0;
    if (!isdigit((unsigned char)*s) && *s != '.')
      return false;
    long double n = strtold(s, &end);
    size_t len = strcspn(end, "0123456789.");
    while (i < ARRAY_LEN(units) && (strlen(units[i].unit) != len || strncmp(units[i].unit, end, len) != 0))
      i++;
    if (end == s || i == ARRAY_LEN(units))
      return false;
    sum += n * (long double)units[i].ns;
    s = end + len;
  }
  if (sum > 9.2e18L)
    return false;
  *out = (int64_t)(negative ? -sum : sum);
  return true;
}

CALL(duration_of) {
  _cleanup_free_ char *text = str_copy(a[0].text.ptr, a[0].text.len);
  int64_t ns;

  if (!text || !parse_duration(text, &ns))
    return value_error(e, "\"%.40s\" is no duration", text ? text : "");
  return (struct cel_value){.kind = CEL_DURATION, .i = ns};
}

CALL(timestamp_of) {
  _cleanup_free_ char *text = str_copy(a[0].text.ptr, a[0].text.len);
  int64_t ms;

  if (!text || !time_parse(text, &ms))
    return value_error(e, "\"%.40s\" is no timestamp", text ? text : "");
  return (struct cel_value){.kind = CEL_TIMESTAMP, .i = ms * 1000000};
}

CALL(same_time) {
  (void)e;
  return a[0];
}

static struct tm broken_down(const struct cel_value *v) {
  time_t seconds = (time_t)(v->i / SECOND);
  struct tm t = {0};

  (void)gmtime_r(&seconds, &t);
  return t;
}

CALL(full_year) {
  (void)e;
  return value_int(broken_down(&a[0]).tm_year + 1900);
}

CALL(month) {
  (void)e;
  return value_int(broken_down(&a[0]).tm_mon);
}

CALL(day_of_month) {
  (void)e;
  return value_int(broken_down(&a[0]).tm_mday - 1);
}

CALL(day_of_week) {
  (void)e;
  return value_int(broken_down(&a[0]).tm_wday);
}

CALL(day_of_year) {
  (void)e;
  return value_int(broken_down(&a[0]).tm_yday);
}

CALL(date) {
  (void)e;
  return value_int(broken_down(&a[0]).tm_mday);
}

/* Of a timestamp the hand of the clock, of a duration the whole of it. */
static struct cel_value hand(const struct cel_value *v, int64_t unit, int64_t turn) {
  int64_t n = v->i / unit;

  return value_int(v->kind == CEL_DURATION ? n : ((n % turn) + turn) % turn);
}

CALL(hours) {
  (void)e;
  return hand(&a[0], 3600 * SECOND, 24);
}

CALL(minutes) {
  (void)e;
  return hand(&a[0], 60 * SECOND, 60);
}

CALL(seconds) {
  (void)e;
  return hand(&a[0], SECOND, 60);
}

CALL(milliseconds) {
  (void)e;
  return hand(&a[0], 1000000, 1000);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const struct function table[] = {
    {"size", "s:i", false, size_of_text},
    {"size", "y:i", false, size_of_text},
    {"size", "s:i", true, size_of_text},
    {"size", "y:i", true, size_of_text},
    {"startsWith", "ss:b", true, starts_with},
    {"endsWith", "ss:b", true, ends_with},
    {"contains", "ss:b", true, contains},
    {"matches", "ss:b", true, matches},
    {"matches", "ss:b", false, matches},
    {"find", "ss:s", true, find},
    {"findAll", "ss:l", true, find_all},
    {"findAll", "ssi:l", true, find_some},
    {"charAt", "si:s", true, char_at},
    {"indexOf", "ss:i", true, index_of},
    {"indexOf", "ssi:i", true, index_of_from},
    {"lastIndexOf", "ss:i", true, last_index_of},
    {"lowerAscii", "s:s", true, lower},
    {"upperAscii", "s:s", true, upper},
    {"replace", "sss:s", true, replace},
    {"replace", "sssi:s", true, replace_some},
    {"split", "ss:l", true, split},
    {"split", "ssi:l", true, split_some},
    {"join", "l:s", true, join},
    {"join", "ls:s", true, join_with},
    {"substring", "si:s", true, substring},
    {"substring", "sii:s", true, substring_to},
    {"trim", "s:s", true, trim},
    {"duration", "s:D", false, duration_of},
    {"duration", "D:D", false, same_time},
    {"timestamp", "s:t", false, timestamp_of},
    {"timestamp", "t:t", false, same_time},
    {"getFullYear", "t:i", true, full_year},
    {"getMonth", "t:i", true, month},
    {"getDayOfMonth", "t:i", true, day_of_month},
    {"getDayOfWeek", "t:i", true, day_of_week},
    {"getDayOfYear", "t:i", true, day_of_year},
    {"getDate", "t:i", true, date},
    {"getHours", "t:i", true, hours},
    {"getHours", "D:i", true, hours},
    {"getMinutes", "t:i", true, minutes},
    {"getMinutes", "D:i", true, minutes},
    {"getSeconds", "t:i", true, seconds},
    {"getSeconds", "D:i", true, seconds},
    {"getMilliseconds", "t:i", true, milliseconds},
    {"getMilliseconds", "D:i", true, milliseconds},
};

const struct function *library_text_functions(size_t *n) {
  *n = ARRAY_LEN(table);
  return table;
}
