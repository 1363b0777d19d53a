/* What pull and push tell while bytes move: a bar for each file and the whole on a terminal, which renew themselves,
 * JSON events with -o json. */
#ifndef HOST_CLI_TRANSFER_REPORT_H
#define HOST_CLI_TRANSFER_REPORT_H

#include "base/buf.h"
#include "transfer/transfer.h"

struct transfer_report {
  bool json;        /* one event a line on standard output */
  bool terminal;    /* standard error is one */
  unsigned drawn;   /* lines on it that are drawn again */
  struct buf lines; /* about files, to be shown together; some of those in standard output's buffer with JSON */
  uint64_t shown_ms;
};

/* As transfer_job.event and upload_job.event want it; REPORT is a struct transfer_report. */
void transfer_report_event(void *report, const struct transfer_event *e);

/* The last word: "done" when RC is OME_OK, "error" otherwise; returns the exit code. */
int transfer_report_end(struct transfer_report *r, const struct transfer_event *end, int32_t rc,
                        const struct ome_err *err);

#endif
