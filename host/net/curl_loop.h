/* A libcurl multi handle on epoll (curl_multi_socket_action): what a turn costs depends on the sockets that have
 * something, not on how many there are, and the time of every turn is known.
 *
 * One thread owns it; other threads may only wake it. */
#ifndef HOST_NET_CURL_LOOP_H
#define HOST_NET_CURL_LOOP_H

#include "base/err.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct curl_loop {
  CURLM *multi;
  int epoll, wake, timer;
  uint64_t due_ns;   /* libcurl wants to be called then; UINT64_MAX: not by itself */
  uint64_t armed_ns; /* what TIMER is set to; 0: nothing */
  uint64_t now_ns;   /* when the present turn began, mono_ns() */
  /* Asked for by the owner before the first transfer: the kernel says when bytes came, which is a system call more for
   * each socket that has some. */
  bool stamps;
  uint64_t came_ns;   /* the newest of the bytes that libcurl is about to read, mono_ns(); 0: not known */
  uint64_t peeked_ns; /* when that was asked */
  char peeked[CURL_MAX_WRITE_SIZE];
};

int32_t curl_loop_init(struct curl_loop *l, struct ome_err *err);
void curl_loop_fini(struct curl_loop *l); /* every easy handle is gone */

/* Instead of curl_multi_add_handle(). */
CURLMcode curl_loop_add(struct curl_loop *l, CURL *easy);

/* The present or next turn waits for nothing.  [any-thread] */
void curl_loop_wake(struct curl_loop *l);

/* Waits until a socket has something, a timer of libcurl or UNTIL_NS (mono_ns(); 0: now) is reached, or somebody wakes
 * it; then lets libcurl act, whose callbacks run here. */
void curl_loop_turn(struct curl_loop *l, uint64_t until_ns);

#endif
