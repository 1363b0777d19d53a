/* A file as the rest of a response: with sendfile over plain connections, in pieces over TLS. */
#include "net/http_internal.h"

#include <stdlib.h>
#include <unistd.h>

#define CHUNK ((size_t)128 << 10)

struct sending {
  int fd;
  uint64_t at, end;
  void (*sent)(size_t n); /* may be NULL */
  char data[CHUNK];
};

static void sending_free(struct sending *s) {
  (void)close(s->fd);
  free(s);
}

static void on_gone(void *arg, struct http_exchange *x) {
  (void)x;
  sending_free(arg);
}

static void send_more(void *arg, struct http_exchange *x) {
  struct sending *s = arg;
  size_t want = s->end - s->at < CHUNK ? (size_t)(s->end - s->at) : CHUNK;
  ssize_t n = want ? pread(s->fd, s->data, want, (off_t)s->at) : 0;

  if (want && n <= 0) { /* the promised length cannot be kept */
    http_abort(x);
    sending_free(s);
    return;
  }
  if (want) {
    s->at += (uint64_t)n;
    if (s->sent)
      s->sent((size_t)n);
    http_respond_write(x, s->data, (size_t)n);
    return;
  }
  http_on_close(x, NULL, NULL);
  http_on_drain(x, NULL, NULL);
  http_respond_end(x);
  sending_free(s);
}

static void send_pieces(struct http_exchange *x, int fd, uint64_t offset, uint64_t len, void (*sent)(size_t n)) {
  struct sending *s = malloc(sizeof(*s));

  if (!s) {
    (void)close(fd);
    http_abort(x);
    return;
  }
  s->fd = fd;
  s->at = offset;
  s->end = offset + len;
  s->sent = sent;
  http_on_close(x, on_gone, s);
  http_on_drain(x, send_more, s);
  send_more(s, x);
}

void http_send_file(struct http_exchange *x, int fd, uint64_t offset, uint64_t len, void (*sent)(size_t n)) {
  if (x->connection->server->cfg.tls && !x->head_only) {
    send_pieces(x, fd, offset, len, sent);
    return;
  }
  if (sent && !x->head_only)
    sent((size_t)len);
  http_respond_file(x, fd, offset, len);
  http_respond_end(x);
}
