/* The AWS tools' files "credentials" and "config", and the times in their answers.  Pure. */
#ifndef PLUGINS_STORAGE_AWS_PROFILE_H
#define PLUGINS_STORAGE_AWS_PROFILE_H

#include <stddef.h>
#include <stdint.h>

/* The value of KEY in [SECTION] of TEXT; of a nested setting, "s3.addressing_style".  A section that is there twice
 * counts as one, the last value wins.  1, 0: no such section, or not in it, -1: longer than SIZE. */
int aws_profile_get(const char *text, const char *section, const char *key, char *out, size_t size);

/* Whether TEXT has [SECTION]. */
int aws_profile_has(const char *text, const char *section);

/* "2026-01-02T03:04:05Z", with fractions, or with "UTC" at its end, in seconds since 1970; 0: none. */
int64_t aws_time(const char *text);

#endif
