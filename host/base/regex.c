#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define MATCH_STEPS 1000000u /* PCRE2's internal match() calls */
#define MATCH_KIB 16384u     /* heap of one match */

struct regex {
  pcre2_code *code;
  pcre2_match_context *limits;
};

static int32_t compile(const char *pattern, size_t len, uint32_t options, struct regex **out, struct ome_err *err) {
  struct regex *re = calloc(1, sizeof(*re));
  PCRE2_SIZE at = 0;
  int code = 0;

  if (!re)
    return fail_memory(err);
  re->code = pcre2_compile((PCRE2_SPTR)pattern, len,
                           options | PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
  if (!re->code) {
    PCRE2_UCHAR why[160];
    (void)pcre2_get_error_message(code, why, sizeof(why));
    regex_free(re);
    return fail(err, OME_E_INVALID, "regular expression: %s at character %zu", (const char *)why, at);
  }
  re->limits = pcre2_match_context_create(NULL);
  if (!re->limits) {
    regex_free(re);
    return fail_memory(err);
  }
  (void)pcre2_set_match_limit(re->limits, MATCH_STEPS);
  (void)pcre2_set_heap_limit(re->limits, MATCH_KIB);
  *out = re;
  return OME_OK;
}

int32_t regex_new(const char *pattern, size_t len, struct regex **out, struct ome_err *err) {
  return compile(pattern, len, 0, out, err);
}

int32_t regex_new_unicode(const char *pattern, size_t len, struct regex **out, struct ome_err *err) {
  int32_t rc = compile(pattern, len, PCRE2_UCP, out, err);

  if (rc == OME_OK)
    (void)pcre2_jit_compile((*out)->code, PCRE2_JIT_COMPLETE); /* without it, it is slower */
  return rc;
}

void regex_free(struct regex *re) {
  if (!re)
    return;
  pcre2_match_context_free(re->limits);
  pcre2_code_free(re->code);
  free(re);
}

void regex_limit(struct regex *re, unsigned steps) {
  (void)pcre2_set_match_limit(re->limits, steps);
}

static int32_t fail_match(int code, struct ome_err *err) {
  PCRE2_UCHAR why[160];

  (void)pcre2_get_error_message(code, why, sizeof(why));
  return fail(err, OME_E_INVALID, "regular expression: %s", (const char *)why);
}

int32_t regex_find(const struct regex *re, const char *text, size_t len, size_t at, struct regex_match *out,
                   struct ome_err *err) {
  pcre2_match_data *match = pcre2_match_data_create_from_pattern(re->code, NULL);

  if (!match)
    return fail_memory(err);
  int n = pcre2_match(re->code, (PCRE2_SPTR)text, len, at, 0, match, re->limits);
  const PCRE2_SIZE *where = pcre2_get_ovector_pointer(match);
  *out = n >= 0 ? (struct regex_match){true, where[0], where[1]} : (struct regex_match){.found = false};
  pcre2_match_data_free(match);
  if (n >= 0 || n == PCRE2_ERROR_NOMATCH)
    return OME_OK;
  return fail_match(n, err);
}

int32_t regex_each(const struct regex *re, const char *text, size_t len, regex_match_fn *each, void *arg,
                   struct ome_err *err) {
  pcre2_match_data *match = pcre2_match_data_create_from_pattern(re->code, NULL);
  uint32_t options = 0; /* TEXT is looked at for being UTF-8 once */
  size_t at = 0;
  int n = 1;

  if (!match)
    return fail_memory(err);
  const PCRE2_SIZE *where = pcre2_get_ovector_pointer(match);
  while (at < len) {
    n = pcre2_match(re->code, (PCRE2_SPTR)text, len, at, options | PCRE2_NOTEMPTY, match, re->limits);
    if (n == PCRE2_ERROR_JIT_STACKLIMIT)
      n = pcre2_match(re->code, (PCRE2_SPTR)text, len, at, options | PCRE2_NOTEMPTY | PCRE2_NO_JIT, match, re->limits);
    if (n < 0 || where[1] <= at) /* \K could go back */
      break;
    each(arg, where[0], where[1]);
    at = where[1];
    options = PCRE2_NO_UTF_CHECK;
  }
  pcre2_match_data_free(match);
  return n >= 0 || n == PCRE2_ERROR_NOMATCH ? OME_OK : fail_match(n, err);
}

bool regex_matches(const char *pattern, const char *text) {
  struct ome_err err = ERR_INIT;
  _cleanup_(regex_freep) struct regex *re = NULL;
  struct regex_match m;

  return regex_new(pattern, strlen(pattern), &re, &err) == OME_OK &&
         regex_find(re, text, strlen(text), 0, &m, &err) == OME_OK && m.found;
}
