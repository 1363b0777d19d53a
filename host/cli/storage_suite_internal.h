/* Shared by the checks of the storage suite: what is listed (storage_suite.c), what is read and written
 * (storage_suite_bytes.c). */
#ifndef HOST_CLI_STORAGE_SUITE_INTERNAL_H
#define HOST_CLI_STORAGE_SUITE_INTERNAL_H

#include "cli/backends.h"
#include "cli/storage_suite.h"
#include "transfer/manifest.h"

struct expected {
  char *path;
  char sha256[65];
};

struct suite {
  const struct storage_suite *opt;
  struct backends backends;
  struct plugin_instance *storage;
  struct manifest listed; /* by the first check */
  VEC(struct expected) expected;
  char scratch[40];
  struct manifest sample; /* of them, in SCRATCH/model when FETCHED */
  bool fetched;
};

struct suite_verdict {
  enum conform_outcome outcome;
  char detail[512];
};

void suite_fail(struct suite_verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void suite_skip(struct suite_verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void suite_note(struct suite_verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Lists URI; PARAMS may be NULL. */
int32_t suite_list(const struct suite *s, const char *uri, const struct ome_kv *params, uint64_t nparams,
                   struct manifest *out, struct ome_err *err);

const struct expected *suite_expected(const struct suite *s, const char *path); /* NULL: none */

void suite_check_bytes(struct suite *s, struct suite_verdict *v);
void suite_check_ranges(struct suite *s, struct suite_verdict *v);
void suite_check_upload(struct suite *s, struct suite_verdict *v);
void suite_check_stopped_upload(struct suite *s, struct suite_verdict *v);

#endif
