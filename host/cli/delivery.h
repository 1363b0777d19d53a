/* Files of this machine to a storage backend: what `ome push` does, and `ome bench` with its results. */
#ifndef HOST_CLI_DELIVERY_H
#define HOST_CLI_DELIVERY_H

#include "cli/parameters.h"
#include "cli/transfer_report.h"
#include "cli/wanted.h"

struct delivery {
  const char *from; /* a file, or a folder with what is below it but hidden files */
  const char *uri;
  const char *revision;           /* NULL: what URI says */
  const char *plugins;            /* plugins.conf; NULL: the plugins beside ome */
  uint64_t connections;           /* at a time */
  const struct wanted *wanted;    /* NULL: all */
  struct parameters *parameters;  /* read already; one of our own is added */
  struct transfer_report *report; /* NULL: nothing is said on the way */
  bool (*cancelled)(void *arg);   /* ends it early; NULL: nothing does [any-thread] */
};

/* Whether a backend for URI is there and writes, before anything is made that is to go there: OME_E_UNSUPPORTED.
 * Whether it will take something is another question. */
int32_t deliver_check(const char *plugins, const char *uri, struct ome_err *err);

/* Sends what the backend does not have yet with the same digest, and asks it afterwards what it has.  END gets the
 * sizes.  Blocks. */
int32_t deliver(const struct delivery *p, struct transfer_event *end, struct ome_err *err);

#endif
