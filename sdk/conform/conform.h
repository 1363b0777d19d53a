/* The conformance kit: does a plugin keep the promises of the ABI?
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every check runs in a forked child with a time-out, so that a plugin may crash, hang or print without harm.  The
 * calling process never loads the plugin.  Linux; depends on ome/ headers and libc only. */
#ifndef OME_SDK_CONFORM_H
#define OME_SDK_CONFORM_H

enum conform_outcome { CONFORM_PASS, CONFORM_FAIL, CONFORM_SKIP };

struct conform_result {
  const char *check;   /* "exports" */
  const char *subject; /* "ome.storage/1 hf", or "" for the file */
  enum conform_outcome outcome;
  const char *detail; /* one line: why it failed or was left out; "" where it passed without remark */
};

/* Called in the calling process, in order; the strings live until it returns. */
typedef void (*conform_report_fn)(void *ctx, const struct conform_result *result);

/* Attacks the plugin at PATH.  URI is handed to storage plugins; NULL: one made from the factory's name.  Returns how
 * many checks failed.  Call it from a process with one thread: it forks. */
int conform_run(const char *path, const char *uri, conform_report_fn report, void *ctx);

#endif
