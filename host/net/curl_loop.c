#include "net/curl_loop.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64               /* sockets that are handled in one turn: what others have is soon seen */
#define MAX_AGE_NS 60000000000 /* of bytes that nobody has read; older, and it was the clock that moved */

/* ---- what libcurl asks for --------------------------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known) {
  struct curl_loop *l = arg;
  struct epoll_event e = {.data.fd = fd};

  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    /* It may be closed, and its number another thread's by now, which is ENOENT here and no harm.  ThreadSanitizer
     * takes it for a use of what the other has; so not through the function that it watches. */
    (void)syscall(SYS_epoll_ctl, l->epoll, EPOLL_CTL_DEL, fd, NULL);
    return 0;
  }
  e.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
  if (known && epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &e) == 0)
    return 0;
  if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) != 0 && errno == EEXIST) /* on_open() has added it */
    (void)epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &e);
  (void)curl_multi_assign(l->multi, fd, l);
  return 0;
}

/* libcurl 7.88 closes a socket whose connecting failed without a word, and takes the next address's, which has the same
 * number, for the one it told us of.  So each is waited for from its birth, once: it connects, or it cannot. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a) {
  struct curl_loop *l = arg;
  int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
  struct epoll_event e = {.events = EPOLLOUT | EPOLLONESHOT, .data.fd = fd};

  (void)purpose;
  if (fd >= 0)
    (void)epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
  if (fd >= 0 && l->stamps)
    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int));
  return fd < 0 ? CURL_SOCKET_BAD : fd;
}

CURLMcode curl_loop_add(struct curl_loop *l, CURL *easy) {
  (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
  (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, l);
  return curl_multi_add_handle(l->multi, easy);
}

static int on_timer(CURLM *multi, long ms, void *arg) {
  struct curl_loop *l = arg;

  (void)multi;
  l->due_ns = ms < 0 ? UINT64_MAX : ms == 0 ? 0 : mono_ns() + (uint64_t)ms * 1000000u;
  return 0;
}

/* ---- a turn ------------------------------------------------------------------------------------------------------ */

/* To the nanosecond, which a time-out of epoll_wait() is not. */
static void arm(struct curl_loop *l, uint64_t at_ns) {
  struct itimerspec when = {0};

  if (at_ns == l->armed_ns)
    return;
  when.it_value.tv_sec = (time_t)(at_ns / 1000000000u);
  when.it_value.tv_nsec = (long)(at_ns % 1000000000u);
  (void)timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &when, NULL);
  l->armed_ns = at_ns;
}

static int wait_events(struct curl_loop *l, uint64_t until_ns, struct epoll_event *events) {
  uint64_t at = l->due_ns < until_ns ? l->due_ns : until_ns;
  bool now = at == 0 || at <= mono_ns();

  if (!now)
    arm(l, at == UINT64_MAX ? 0 : at);
  int n = epoll_wait(l->epoll, events, BATCH, now ? 0 : -1);
  l->now_ns = mono_ns();
  return n;
}

static int action_of(uint32_t events) {
  int action = 0;

  if (events & (EPOLLIN | EPOLLHUP))
    action |= CURL_CSELECT_IN;
  if (events & EPOLLOUT)
    action |= CURL_CSELECT_OUT;
  if (events & EPOLLERR)
    action |= CURL_CSELECT_ERR;
  return action;
}

/* When a packet came that the kernel stamped with STAMP, of CLOCK_REALTIME; 0: that clock was set since. */
static uint64_t since_boot(const struct timespec *stamp) {
  struct timespec now;

  (void)clock_gettime(CLOCK_REALTIME, &now);
  int64_t age = (now.tv_sec - stamp->tv_sec) * 1000000000 + (now.tv_nsec - stamp->tv_nsec);
  return age >= 0 && age < MAX_AGE_NS ? mono_ns() - (uint64_t)age : 0;
}

/* When the bytes came that wait in FD, the newest of those that one read takes; 0: the kernel does not say.  The oldest
 * would not do: where this process was kept from running, a head may wait with the token that came long after it. */
static uint64_t newest_bytes(struct curl_loop *l, int fd) {
  union {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(struct timespec))];
  } control;
  struct iovec to = {.iov_base = l->peeked, .iov_len = sizeof(l->peeked)};
  struct msghdr m = {
      .msg_iov = &to, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  struct timespec stamp;

  l->peeked_ns = mono_ns();
  if (recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT) <= 0)
    return 0;
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
    return 0;
  memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
  return since_boot(&stamp);
}

void curl_loop_turn(struct curl_loop *l, uint64_t until_ns) {
  struct epoll_event events[BATCH];
  int n = wait_events(l, until_ns, events);
  uint64_t ticks;
  int running;

  for (int i = 0; i < n; i++) {
    int fd = events[i].data.fd;
    if (fd == l->wake || fd == l->timer) {
      (void)!read(fd, &ticks, sizeof(ticks));
      l->armed_ns = fd == l->timer ? 0 : l->armed_ns;
    } else {
      l->came_ns = l->stamps && events[i].events & EPOLLIN ? newest_bytes(l, fd) : 0;
      (void)curl_multi_socket_action(l->multi, fd, action_of(events[i].events), &running);
      l->came_ns = 0;
    }
  }
  if (l->due_ns <= l->now_ns) {
    l->due_ns = UINT64_MAX; /* libcurl says the next one, if there is any */
    (void)curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
}

void curl_loop_wake(struct curl_loop *l) {
  (void)!write(l->wake, &(uint64_t){1}, sizeof(uint64_t));
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

static bool watch(struct curl_loop *l, int fd) {
  struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

  return fd >= 0 && epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

int32_t curl_loop_init(struct curl_loop *l, struct ome_err *err) {
  memset(l, 0, sizeof(*l));
  l->due_ns = UINT64_MAX;
  l->now_ns = mono_ns();
  l->epoll = epoll_create1(EPOLL_CLOEXEC);
  l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  l->multi = curl_multi_init();
  if (!l->multi || l->epoll < 0 || !watch(l, l->wake) || !watch(l, l->timer)) {
    int why = errno;
    curl_loop_fini(l);
    return fail(err, OME_E_NO_SPACE, "http client: no event loop: %s; raise ulimit -n", strerror(why));
  }
  (void)curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  (void)curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
  (void)curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  (void)curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
  return OME_OK;
}

void curl_loop_fini(struct curl_loop *l) {
  if (l->multi)
    (void)curl_multi_cleanup(l->multi); /* closes connections, and says so to the callbacks: before the rest */
  closep(&l->epoll);
  closep(&l->wake);
  closep(&l->timer);
}
