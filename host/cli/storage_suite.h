/* The storage conformance suite: does a storage plugin tell the truth about a backend that is there?  `ome plugin
 * check` attacks a plugin alone; this asks it about real files, through the host's own engine. */
#ifndef HOST_CLI_STORAGE_SUITE_H
#define HOST_CLI_STORAGE_SUITE_H

#include "cli/cli.h"

#include <conform.h>

struct storage_suite {
  const char *file;   /* the plugin, absolute */
  const char *conf;   /* plugins.conf that loads it; NULL: it alone, without settings */
  const char *uri;    /* of a model that is there */
  const char *expect; /* file of "SHA256  PATH" lines, as sha256sum prints them: what the model is; NULL: not known */
  const char *upload; /* address that may be written to; NULL: none */
  struct cli_list wrong; /* "KEY=VALUE": parameters that are no good credentials */
};

/* Runs every check and reports it; the number of those that failed, or -1 and ERR when none could be run. */
int storage_suite_run(const struct storage_suite *s, conform_report_fn report, void *ctx, struct ome_err *err);

#endif
