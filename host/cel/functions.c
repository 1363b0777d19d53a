/* Operators, conversions and collections of the standard library (cel-spec langdef, List of Standard Definitions), and
 * Kubernetes' list functions.  Text and time are in strings.c. */
#include "cel/library.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CALL(name) static struct cel_value name(struct eval *e, const struct cel_value *a)

static struct cel_value overflow(struct eval *e) {
  return value_error(e, "integer overflow");
}

/* ---- equality and order ------------------------------------------------------------------------------------------ */

CALL(equal) {
  return value_bool(value_equal(e, &a[0], &a[1]));
}

CALL(unequal) {
  return value_bool(!value_equal(e, &a[0], &a[1]));
}

static struct cel_value ordered(struct eval *e, const struct cel_value *a, bool less, bool same, bool more) {
  bool ok;
  int c = value_compare(&a[0], &a[1], &ok);

  if (!ok)
    return value_error(e, "a %s and a %s have no order", kind_name(a[0].kind), kind_name(a[1].kind));
  return value_bool(c < 0 ? less : c > 0 ? more : same);
}

CALL(less) {
  return ordered(e, a, true, false, false);
}

CALL(less_or_equal) {
  return ordered(e, a, true, true, false);
}

CALL(more) {
  return ordered(e, a, false, false, true);
}

CALL(more_or_equal) {
  return ordered(e, a, false, true, true);
}

CALL(in_list) {
  for (size_t i = 0; i < value_size(&a[1]); i++) {
    struct cel_value item = value_at(e, &a[1], i);
    if (!eval_step(e, 1))
      break;
    if (value_equal(e, &item, &a[0]))
      return value_bool(true);
  }
  return value_bool(false);
}

CALL(in_map) {
  struct cel_value found;

  return value_bool(value_get(e, &a[1], &a[0], &found));
}

CALL(not_true) {
  (void)e;
  return value_bool(!a[0].truth);
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

CALL(add_int) {
  struct cel_value v = a[0]; /* keeps the kind of durations and timestamps */

  return __builtin_add_overflow(a[0].i, a[1].i, &v.i) ? overflow(e) : v;
}

CALL(add_to_time) {
  struct cel_value v = a[1];

  return __builtin_add_overflow(a[0].i, a[1].i, &v.i) ? overflow(e) : v;
}

CALL(subtract_int) {
  struct cel_value v = a[0];

  return __builtin_sub_overflow(a[0].i, a[1].i, &v.i) ? overflow(e) : v;
}

CALL(subtract_times) {
  struct cel_value v = {.kind = CEL_DURATION};

  return __builtin_sub_overflow(a[0].i, a[1].i, &v.i) ? overflow(e) : v;
}

CALL(multiply_int) {
  struct cel_value v = a[0];

  return __builtin_mul_overflow(a[0].i, a[1].i, &v.i) ? overflow(e) : v;
}

CALL(divide_int) {
  if (a[1].i == 0)
    return value_error(e, "division by zero");
  return a[0].i == INT64_MIN && a[1].i == -1 ? overflow(e) : value_int(a[0].i / a[1].i);
}

CALL(modulo_int) {
  if (a[1].i == 0)
    return value_error(e, "modulus by zero");
  return a[1].i == -1 ? value_int(0) : value_int(a[0].i % a[1].i);
}

CALL(negate_int) {
  return a[0].i == INT64_MIN ? overflow(e) : value_int(-a[0].i);
}

static struct cel_value value_uint(uint64_t u) {
  return (struct cel_value){.kind = CEL_UINT, .u = u};
}

static struct cel_value value_double(double d) {
  return (struct cel_value){.kind = CEL_DOUBLE, .d = d};
}

CALL(add_uint) {
  uint64_t u;

  return __builtin_add_overflow(a[0].u, a[1].u, &u) ? overflow(e) : value_uint(u);
}

CALL(subtract_uint) {
  uint64_t u;

  return __builtin_sub_overflow(a[0].u, a[1].u, &u) ? overflow(e) : value_uint(u);
}

CALL(multiply_uint) {
  uint64_t u;

  return __builtin_mul_overflow(a[0].u, a[1].u, &u) ? overflow(e) : value_uint(u);
}

CALL(divide_uint) {
  return a[1].u ? value_uint(a[0].u / a[1].u) : value_error(e, "division by zero");
}

CALL(modulo_uint) {
  return a[1].u ? value_uint(a[0].u % a[1].u) : value_error(e, "modulus by zero");
}

CALL(add_double) {
  (void)e;
  return value_double(a[0].d + a[1].d);
}

CALL(subtract_double) {
  (void)e;
  return value_double(a[0].d - a[1].d);
}

CALL(multiply_double) {
  (void)e;
  return value_double(a[0].d * a[1].d);
}

CALL(divide_double) {
  (void)e;
  return value_double(a[0].d / a[1].d);
}

CALL(negate_double) {
  (void)e;
  return value_double(-a[0].d);
}

/* ---- conversions ------------------------------------------------------------------------------------------------- */

CALL(same) {
  (void)e;
  return a[0];
}

CALL(int_of) {
  const struct cel_value *v = &a[0];
  char *end;

  if (v->kind == CEL_UINT)
    return v->u > INT64_MAX ? overflow(e) : value_int((int64_t)v->u);
  if (v->kind == CEL_DOUBLE)
    return v->d > -9.223372036854775e18 && v->d < 9.223372036854775e18 ? value_int((int64_t)v->d) : overflow(e);
  if (v->kind == CEL_TIMESTAMP)
    return value_int(v->i / 1000000000);
  _cleanup_free_ char *text = str_copy(v->text.ptr, v->text.len);
  int64_t n = text ? strtoll(text, &end, 10) : 0;
  if (!text || end == text || *end)
    return value_error(e, "\"%.40s\" is no int", text ? text : "");
  return value_int(n);
}

CALL(uint_of) {
  const struct cel_value *v = &a[0];
  char *end;

  if (v->kind == CEL_INT)
    return v->i < 0 ? overflow(e) : value_uint((uint64_t)v->i);
  if (v->kind == CEL_DOUBLE)
    return v->d >= 0 && v->d < 1.8446744073709551e19 ? value_uint((uint64_t)v->d) : overflow(e);
  _cleanup_free_ char *text = str_copy(v->text.ptr, v->text.len);
  uint64_t n = text ? strtoull(text, &end, 10) : 0;
  if (!text || end == text || *end || *text == '-')
    return value_error(e, "\"%.40s\" is no uint", text ? text : "");
  return value_uint(n);
}

CALL(double_of) {
  const struct cel_value *v = &a[0];
  char *end;

  if (v->kind == CEL_INT || v->kind == CEL_UINT)
    return value_double(v->kind == CEL_INT ? (double)v->i : (double)v->u);
  _cleanup_free_ char *text = str_copy(v->text.ptr, v->text.len);
  double d = text ? strtod(text, &end) : 0;
  if (!text || end == text || *end)
    return value_error(e, "\"%.40s\" is no double", text ? text : "");
  return value_double(d);
}

CALL(string_of) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  char stamp[TIME_TEXT_MS];

  switch (a[0].kind) {
  case CEL_BOOL:
    buf_adds(&b, a[0].truth ? "true" : "false");
    break;
  case CEL_INT:
    buf_addf(&b, "%" PRId64, a[0].i);
    break;
  case CEL_UINT:
    buf_addf(&b, "%" PRIu64, a[0].u);
    break;
  case CEL_DOUBLE:
    buf_addf(&b, "%.17g", a[0].d);
    break;
  case CEL_DURATION:
    buf_addf(&b, "%.9gs", (double)a[0].i / 1e9);
    break;
  case CEL_TIMESTAMP:
    time_format_ms(a[0].i / 1000000, stamp);
    buf_adds(&b, stamp);
    break;
  default:
    buf_add(&b, a[0].text.ptr, a[0].text.len);
    break;
  }
  return library_text(e, CEL_STRING, buf_str(&b), b.len);
}

CALL(bool_of) {
  const struct cel_text *t = &a[0].text;

  if (t->len == 4 && strncasecmp(t->ptr, "true", 4) == 0)
    return value_bool(true);
  if (t->len == 5 && strncasecmp(t->ptr, "false", 5) == 0)
    return value_bool(false);
  return value_error(e, "\"%.*s\" is no bool", (int)(t->len < 40 ? t->len : 40), t->ptr);
}

CALL(bytes_of) {
  (void)e;
  return value_text(CEL_BYTES, a[0].text.ptr, a[0].text.len);
}

CALL(type_of) {
  const char *name = kind_name(a[0].kind);

  (void)e;
  return value_text(CEL_TYPE, name, strlen(name));
}

/* ---- lists and maps ---------------------------------------------------------------------------------------------- */

CALL(size_of) {
  (void)e;
  return value_int((int64_t)value_size(&a[0]));
}

CALL(index_list) {
  if (a[1].i < 0)
    return value_error(e, "index out of bounds: %" PRId64, a[1].i);
  return value_at(e, &a[0], (size_t)a[1].i);
}

CALL(index_map) {
  struct cel_value found;

  if (value_get(e, &a[0], &a[1], &found))
    return found;
  struct cel_value text = a[1].kind == CEL_STRING ? a[1] : string_of(e, &a[1]);
  return value_error(e, "no such key: %.*s", (int)text.text.len, text.text.ptr);
}

CALL(concatenate) {
  size_t n = value_size(&a[0]) + value_size(&a[1]);
  struct cel_value *items = eval_step(e, n) ? arena_new(&e->arena, (n + 1) * sizeof(*items)) : NULL;

  if (!items)
    return value_error(e, "the expression does too much work");
  for (size_t i = 0; i < n; i++)
    items[i] = i < value_size(&a[0]) ? value_at(e, &a[0], i) : value_at(e, &a[1], i - value_size(&a[0]));
  return (struct cel_value){.kind = CEL_LIST, .seq = {.items = items, .n = n}};
}

/* The least item by SIGN 1, the greatest by -1. */
static struct cel_value extreme(struct eval *e, const struct cel_value *list, int sign) {
  struct cel_value best = value_at(e, list, 0);
  bool ok = true;

  if (value_size(list) == 0)
    return value_error(e, "min and max of an empty list");
  for (size_t i = 1; i < value_size(list) && eval_step(e, 1); i++) {
    struct cel_value item = value_at(e, list, i);
    int c = value_compare(&item, &best, &ok);
    if (!ok)
      return value_error(e, "items of a list have no order");
    if (c * sign < 0)
      best = item;
  }
  return best;
}

CALL(least) {
  return extreme(e, &a[0], 1);
}

CALL(greatest) {
  return extreme(e, &a[0], -1);
}

CALL(is_sorted) {
  for (size_t i = 1; i < value_size(&a[0]) && eval_step(e, 1); i++) {
    const struct cel_value pair[] = {value_at(e, &a[0], i - 1), value_at(e, &a[0], i)};
    struct cel_value v = ordered(e, pair, true, true, false);
    if (v.kind == CEL_ERROR || !v.truth)
      return v;
  }
  return value_bool(true);
}

CALL(sum_of) {
  struct cel_value sum = value_int(0);

  for (size_t i = 0; i < value_size(&a[0]) && eval_step(e, 1); i++) {
    const struct cel_value pair[] = {sum, value_at(e, &a[0], i)};
    enum cel_kind kind = pair[1].kind;
    if (i == 0)
      sum = pair[1];
    else if (kind != sum.kind || (kind != CEL_INT && kind != CEL_DURATION && kind != CEL_UINT && kind != CEL_DOUBLE))
      return value_error(e, "a list with a %s has no sum", kind_name(kind));
    else
      sum = kind == CEL_DOUBLE ? add_double(e, pair) : kind == CEL_UINT ? add_uint(e, pair) : add_int(e, pair);
    if (sum.kind == CEL_ERROR)
      return sum;
  }
  return sum;
}

CALL(index_of_item) {
  for (size_t i = 0; i < value_size(&a[0]) && eval_step(e, 1); i++) {
    struct cel_value item = value_at(e, &a[0], i);
    if (value_equal(e, &item, &a[1]))
      return value_int((int64_t)i);
  }
  return value_int(-1);
}

CALL(last_index_of_item) {
  for (size_t i = value_size(&a[0]); i-- > 0 && eval_step(e, 1);) {
    struct cel_value item = value_at(e, &a[0], i);
    if (value_equal(e, &item, &a[1]))
      return value_int((int64_t)i);
  }
  return value_int(-1);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const struct function table[] = {
    {"==", "**:b", false, equal},
    {"!=", "**:b", false, unequal},
    {"<", "**:b", false, less},
    {"<=", "**:b", false, less_or_equal},
    {">", "**:b", false, more},
    {">=", "**:b", false, more_or_equal},
    {"in", "*l:b", false, in_list},
    {"in", "*m:b", false, in_map},
    {"!_", "b:b", false, not_true},
    {"-_", "i:i", false, negate_int},
    {"-_", "d:d", false, negate_double},
    {"+", "ii:i", false, add_int},
    {"+", "uu:u", false, add_uint},
    {"+", "dd:d", false, add_double},
    {"+", "ss:s", false, library_concatenate},
    {"+", "yy:y", false, library_concatenate},
    {"+", "ll:l", false, concatenate},
    {"+", "DD:D", false, add_int},
    {"+", "tD:t", false, add_int},
    {"+", "Dt:t", false, add_to_time},
    {"-", "ii:i", false, subtract_int},
    {"-", "uu:u", false, subtract_uint},
    {"-", "dd:d", false, subtract_double},
    {"-", "DD:D", false, subtract_int},
    {"-", "tD:t", false, subtract_int},
    {"-", "tt:D", false, subtract_times},
    {"*", "ii:i", false, multiply_int},
    {"*", "uu:u", false, multiply_uint},
    {"*", "dd:d", false, multiply_double},
    {"/", "ii:i", false, divide_int},
    {"/", "uu:u", false, divide_uint},
    {"/", "dd:d", false, divide_double},
    {"%", "ii:i", false, modulo_int},
    {"%", "uu:u", false, modulo_uint},
    {"[]", "li:*", false, index_list},
    {"[]", "m*:*", false, index_map},
    {"size", "l:i", false, size_of},
    {"size", "m:i", false, size_of},
    {"size", "l:i", true, size_of},
    {"size", "m:i", true, size_of},
    {"int", "i:i", false, same},
    {"int", "u:i", false, int_of},
    {"int", "d:i", false, int_of},
    {"int", "s:i", false, int_of},
    {"int", "t:i", false, int_of},
    {"uint", "u:u", false, same},
    {"uint", "i:u", false, uint_of},
    {"uint", "d:u", false, uint_of},
    {"uint", "s:u", false, uint_of},
    {"double", "d:d", false, same},
    {"double", "i:d", false, double_of},
    {"double", "u:d", false, double_of},
    {"double", "s:d", false, double_of},
    {"string", "s:s", false, same},
    {"string", "b:s", false, string_of},
    {"string", "i:s", false, string_of},
    {"string", "u:s", false, string_of},
    {"string", "d:s", false, string_of},
    {"string", "y:s", false, string_of},
    {"string", "D:s", false, string_of},
    {"string", "t:s", false, string_of},
    {"bool", "b:b", false, same},
    {"bool", "s:b", false, bool_of},
    {"bytes", "y:y", false, same},
    {"bytes", "s:y", false, bytes_of},
    {"type", "*:T", false, type_of},
    {"dyn", "*:*", false, same},
    {"min", "l:*", true, least},
    {"max", "l:*", true, greatest},
    {"sum", "l:*", true, sum_of},
    {"isSorted", "l:b", true, is_sorted},
    {"indexOf", "l*:i", true, index_of_item},
    {"lastIndexOf", "l*:i", true, last_index_of_item},
};

const struct function *library_functions(size_t *n) {
  *n = ARRAY_LEN(table);
  return table;
}
