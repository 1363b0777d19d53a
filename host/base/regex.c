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

int32_t regex_new(const char *pattern, size_t len, struct regex **out, struct ome_err *err) {
  struct regex *re = calloc(1, sizeof(*re));
  PCRE2_SIZE at = 0;
  int code = 0;

  if (!re)
    return fail_memory(err);
  re->code = pcre2_compile((PCRE2_SPTR)pattern, len, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY, &code,
                           &at, NULL);
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

int32_t regex_find(const struct regex *re, const char *text, size_t len, size_t at, bool *found, size_t *begin,
                   size_t *end, struct ome_err *err) {
  pcre2_match_data *match = pcre2_match_data_create_from_pattern(re->code, NULL);

  if (!match)
    return fail_memory(err);
  int n = pcre2_match(re->code, (PCRE2_SPTR)text, len, at, 0, match, re->limits);
  *found = n >= 0;
  if (*found && begin && end) {
    const PCRE2_SIZE *where = pcre2_get_ovector_pointer(match);
    *begin = where[0];
    *end = where[1];
  }
  pcre2_match_data_free(match);
  if (n >= 0 || n == PCRE2_ERROR_NOMATCH)
    return OME_OK;
  PCRE2_UCHAR why[160];
  (void)pcre2_get_error_message(n, why, sizeof(why));
  return fail(err, OME_E_INVALID, "regular expression: %s", (const char *)why);
}

bool regex_matches(const char *pattern, const char *text) {
  struct ome_err err = ERR_INIT;
  _cleanup_(regex_freep) struct regex *re = NULL;
  bool found = false;

  return regex_new(pattern, strlen(pattern), &re, &err) == OME_OK &&
         regex_find(re, text, strlen(text), 0, &found, NULL, NULL, &err) == OME_OK && found;
}
