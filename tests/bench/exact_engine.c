/* An inference server that computes nothing and knows exactly what it did: what `ome bench` is measured against.
 *
 *   exact_engine PORT-FILE TTFT-MS ITL-MS
 *
 * Every POST is answered with a stream of "max_tokens" tokens: the first TTFT after the kernel got the request's last
 * byte, the others ITL apart.  When it cannot keep that it is late, and the truth is what it did: times are taken from
 * the kernel's stamp of the request's bytes, and directly before each send().  GET anything: {answered, ttftMs, itlMs,
 * e2eMs: {mean, p50, p90, p99, max}}.  It is one thread on epoll, without a library that could buffer.
 *
 * Well-formed requests only; anything unusual ends it with a message. */
#include "base/clock.h"
#include "base/vec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FILES = 65536, MAX_REQUEST = 1 << 20, BATCH = 64 };

struct caller { /* a connection, with a request at a time */
  struct caller *next;
  int fd;
  char *in;
  size_t len;
  uint64_t came_ns, due_ns, last_ns;
  unsigned sent, wanted;
};

struct queue { /* by due_ns: both kinds of waiting are equally long for all, so who comes last is due last */
  struct caller *head, *tail;
};

struct samples {
  VEC(uint64_t) ns;
};

static struct {
  int epoll, listener;
  uint64_t ttft_ns, itl_ns;
  unsigned long answered;
  struct queue first, later;
  struct samples ttft, itl, e2e;
  struct caller *callers[MAX_FILES];
} engine;

static void need(bool ok, const char *what) {
  if (ok)
    return;
  fprintf(stderr, "exact_engine: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* ---- what it did ------------------------------------------------------------------------------------------------- */

static void note(struct samples *s, uint64_t ns) {
  need(VEC_PUSH(&s->ns, ns), "memory");
}

static int by_value(const void *a, const void *b) {
  const uint64_t *x = a, *y = b;

  return (*x > *y) - (*x < *y);
}

static double percentile(const struct samples *s, double percent) {
  size_t rank = (size_t)((double)s->ns.len * percent / 100 + 0.999999);

  return s->ns.len ? (double)s->ns.items[rank ? rank - 1 : 0] / 1e6 : 0;
}

static int print_samples(char *out, size_t size, const char *name, struct samples *s) {
  double sum = 0;

  for (size_t i = 0; i < s->ns.len; i++)
    sum += (double)s->ns.items[i] / 1e6;
  if (s->ns.len)
    qsort(s->ns.items, s->ns.len, sizeof(*s->ns.items), by_value);
  return snprintf(out, size, ",\"%s\":{\"mean\":%.6f,\"p50\":%.6f,\"p90\":%.6f,\"p99\":%.6f,\"max\":%.6f}", name,
                  s->ns.len ? sum / (double)s->ns.len : 0, percentile(s, 50), percentile(s, 90), percentile(s, 99),
                  percentile(s, 100));
}

static void send_all(struct caller *c, const char *text, size_t len) {
  need(send(c->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len, "send");
}

static void answer_stats(struct caller *c) {
  char body[2048], head[128];
  int n = snprintf(body, sizeof(body), "{\"answered\":%lu", engine.answered);

  n += print_samples(body + n, sizeof(body) - (size_t)n, "ttftMs", &engine.ttft);
  n += print_samples(body + n, sizeof(body) - (size_t)n, "itlMs", &engine.itl);
  n += print_samples(body + n, sizeof(body) - (size_t)n, "e2eMs", &engine.e2e);
  body[n++] = '}';
  int m = snprintf(head, sizeof(head),
                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", n);
  send_all(c, head, (size_t)m);
  send_all(c, body, (size_t)n);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void put(struct queue *q, struct caller *c) {
  c->next = NULL;
  if (q->head)
    q->tail->next = c;
  else
    q->head = c;
  q->tail = c;
}

/* A chunk of the answer's encoding, an event. */
static size_t add_event(char *out, size_t size, const char *data) {
  return (size_t)snprintf(out, size, "%zx\r\ndata: %s\n\n\r\n", strlen(data) + 8, data);
}

static void end_answer(struct caller *c) {
  char text[640], usage[160];
  size_t n = add_event(text, sizeof(text), "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}");

  (void)snprintf(usage, sizeof(usage), "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":%u}}",
                 c->sent);
  n += add_event(text + n, sizeof(text) - n, usage);
  n += add_event(text + n, sizeof(text) - n, "[DONE]");
  n += (size_t)snprintf(text + n, sizeof(text) - n, "0\r\n\r\n");
  note(&engine.e2e, mono_ns() - c->came_ns);
  send_all(c, text, n);
  engine.answered++;
}

static void send_token(struct caller *c) {
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  static const char token[] = "{\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                              "\" word\"},\"finish_reason\":null}]}";
  char text[512];
  size_t n = c->sent ? 0 : sizeof(head) - 1;

  memcpy(text, head, n);
  n += add_event(text + n, sizeof(text) - n, token);
  uint64_t now = mono_ns();
  send_all(c, text, n);
  note(c->sent ? &engine.itl : &engine.ttft, now - (c->sent ? c->last_ns : c->came_ns));
  c->last_ns = now;
  c->due_ns += engine.itl_ns;
  if (++c->sent == c->wanted)
    end_answer(c);
  else
    put(&engine.later, c);
}

static struct queue *next_queue(void) {
  const struct caller *a = engine.first.head, *b = engine.later.head;

  return !b || (a && a->due_ns <= b->due_ns) ? &engine.first : &engine.later;
}

/* What is due, a few at a time; nanoseconds until the next is, UINT64_MAX: nothing waits. */
static uint64_t send_due(void) {
  for (int i = 0; i < BATCH; i++) {
    struct queue *q = next_queue();
    struct caller *c = q->head;
    uint64_t now = mono_ns();
    if (!c || c->due_ns > now)
      return c ? c->due_ns - now : UINT64_MAX;
    q->head = c->next;
    send_token(c);
  }
  return 0;
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

/* Bytes, and when the kernel got the last of them. */
static ssize_t receive(int fd, void *to, size_t len, uint64_t *came_ns) {
  char control[256] __attribute__((aligned(8)));
  struct iovec v = {.iov_base = to, .iov_len = len};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  struct timespec stamp, now;
  ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
  struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

  *came_ns = mono_ns();
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
    memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *came_ns -= (uint64_t)((now.tv_sec - stamp.tv_sec) * 1000000000 + now.tv_nsec - stamp.tv_nsec);
  }
  return n;
}

static void hang_up(struct caller *c) {
  engine.callers[c->fd] = NULL;
  (void)close(c->fd);
  free(c->in);
  free(c);
}

/* Whether a whole request is there, head and body. */
static bool is_whole(const struct caller *c) {
  const char *end = strstr(c->in, "\r\n\r\n");
  const char *length = strcasestr(c->in, "\r\ncontent-length:");

  return end && (!length || length > end ||
                 c->len >= (size_t)(end + 4 - c->in) + strtoul(length + strlen("\r\ncontent-length:"), NULL, 10));
}

static void take_request(struct caller *c) {
  const char *wanted = strstr(c->in, "\"max_tokens\":");

  if (strncmp(c->in, "GET ", 4) == 0) {
    answer_stats(c);
  } else {
    need(wanted != NULL, "a request without max_tokens");
    c->wanted = (unsigned)strtoul(wanted + strlen("\"max_tokens\":"), NULL, 10);
    c->sent = 0;
    c->due_ns = c->came_ns + engine.ttft_ns;
    put(&engine.first, c);
  }
  c->len = 0;
}

static void read_some(struct caller *c) {
  ssize_t n = receive(c->fd, c->in + c->len, MAX_REQUEST - c->len - 1, &c->came_ns);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    need(c->sent == c->wanted, "a client that went away during its answer");
    hang_up(c);
    return;
  }
  c->len += (size_t)n;
  c->in[c->len] = '\0';
  need(c->len < MAX_REQUEST - 1, "a request that is too long");
  if (is_whole(c))
    take_request(c);
}

static void accept_one(void) {
  int fd = accept4(engine.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

  need(fd >= 0 && fd < MAX_FILES, "accept");
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  struct caller *c = calloc(1, sizeof(*c));
  need(c && (c->in = malloc(MAX_REQUEST)), "memory");
  c->fd = fd;
  engine.callers[fd] = c;
  need(epoll_ctl(engine.epoll, EPOLL_CTL_ADD, fd, &e) == 0, "epoll");
}

static void turn(uint64_t wait_ns) {
  struct epoll_event events[BATCH];
  struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000), .tv_nsec = (long)(wait_ns % 1000000000)};
  int n = epoll_pwait2(engine.epoll, events, BATCH, wait_ns == UINT64_MAX ? NULL : &wait, NULL);

  for (int i = 0; i < n; i++) {
    if (events[i].data.fd == engine.listener)
      accept_one();
    else
      read_some(engine.callers[events[i].data.fd]);
  }
}

static void listen_at(const char *port_file) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(at);
  struct epoll_event e = {.events = EPOLLIN};

  engine.epoll = epoll_create1(EPOLL_CLOEXEC);
  engine.listener = e.data.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  /* Connections that are accepted inherit it, so that the first packet has its stamp. */
  need(setsockopt(engine.listener, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int)) == 0, "time stamps");
  need(bind(engine.listener, (struct sockaddr *)&at, len) == 0 && listen(engine.listener, 4096) == 0, "listen");
  need(getsockname(engine.listener, (struct sockaddr *)&at, &len) == 0, "port");
  need(epoll_ctl(engine.epoll, EPOLL_CTL_ADD, engine.listener, &e) == 0, "epoll");
  FILE *out = fopen(port_file, "w");
  need(out && fprintf(out, "%u\n", ntohs(at.sin_port)) > 0 && fclose(out) == 0, port_file);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: exact_engine PORT-FILE TTFT-MS ITL-MS\n");
    return 2;
  }
  engine.ttft_ns = strtoul(argv[2], NULL, 10) * 1000000;
  engine.itl_ns = strtoul(argv[3], NULL, 10) * 1000000;
  (void)prctl(PR_SET_TIMERSLACK, 1UL);
  listen_at(argv[1]);
  for (;;)
    turn(send_due());
}
