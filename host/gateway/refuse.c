/* Refusals. */
#include "gateway/refuse.h"

#include "gateway/stream.h"

#include <stdio.h>
#include <stdlib.h>

#define DISCARD_BYTES ((size_t)4 << 20) /* of a request that is refused, before the connection is cut */

/* An answer that waits until the request has been read. */
struct refusal {
  int status;
  const char *type, *code;
  char message[4096];
  size_t discarded;
};

static void refuse_now(struct http_exchange *x, struct refusal *r) {
  http_on_close(x, NULL, NULL);
  if (r->status == 503)
    http_add_header(x, "Retry-After", "2");
  respond_error(x, r->status, r->type, r->code, r->message);
  free(r);
}

static void discard(void *arg, struct http_exchange *x, const void *data UNUSED, size_t len) {
  struct refusal *r = arg;

  r->discarded += len;
  if (!len || r->discarded > DISCARD_BYTES)
    refuse_now(x, r);
}

static void on_gone(void *arg, struct http_exchange *x UNUSED) {
  free(arg);
}

void refuse(struct http_exchange *x, int status, const char *type, const char *code, const char *message) {
  struct refusal *r = calloc(1, sizeof(*r));

  if (!r) {
    http_abort(x);
    return;
  }
  r->status = status;
  r->type = type;
  r->code = code;
  (void)snprintf(r->message, sizeof(r->message), "%s", message);
  if (!http_has_body(x)) {
    refuse_now(x, r);
    return;
  }
  http_on_close(x, on_gone, r);
  http_read_body(x, discard, r);
}
